// How many threads can run at once here.
#pragma once

#include <string>

namespace fastpre {

// CPUs that this process may use: the affinity mask, cut to the cgroup's CPU quota (rounded up),
// at least 1. Both can change while a process lives, so they are read again after a second (reading
// takes about 50 us, half of a thumbnail's time).
int AvailableThreads();

// CPUs' worth of time that the cgroups of `groups_file` (as /proc/self/cgroup) grant under `mount`; infinity where
// there is no quota. Version 2 has one file ("max 100000" or "150000 100000", in microseconds), version 1 has two.
double QuotaThreads(const std::string& groups_file, const std::string& mount);

}  // namespace fastpre
