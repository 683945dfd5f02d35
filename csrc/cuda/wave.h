// The images of a batch that share a slot: decoded together, resampled by one launch.
#pragma once

#include <mutex>
#include <span>
#include <vector>

#include "cpu/pool.h"
#include "cuda/device.h"
#include "cuda/job.h"
#include "cuda/pipeline.h"

namespace fastpre::cuda {

class Wave {
 public:
  Wave(Device* device, const Batch& batch, std::span<Job> jobs);
  ~Wave();
  Wave(const Wave&) = delete;
  Wave& operator=(const Wave&) = delete;

  // Bytes that these jobs take, as laid out.
  static size_t DeviceBytes(std::span<const Job> jobs);
  static size_t PinnedBytes(std::span<const Job> jobs);

  // False: memory is short, and nothing has happened.
  bool TakeSlot();
  // Throws CudaError.
  void Run();

 private:
  struct Turn {
    Job* job;  // null: all that the engines decode
    double cost;
  };

  void Place();
  void MarkPlanes();
  void Decode(std::vector<Turn> turns);
  void DecodeOnEngines();
  void DecodeOne(Job* job, Worker& worker, Crew* crew);
  bool DecodeCoefficients(Job* job, Crew* crew);
  void DecodeHybrid(Job* job);
  void DecodePixels(Job* job, Worker& worker, Crew* crew);
  void FindUnwritten();
  void Retry();
  void Observe(Route route, double sharing);
  void Launch();
  void AddToLaunch(const Job& job, BatchPacker* packer);
  struct NvjpegJob NvjpegJobOf(Job* job);

  Device& device_;
  const Batch& batch_;
  std::span<Job> jobs_;
  Slot* slot_ = nullptr;
  bool launched_ = false;
  size_t mirrored_ = 0;  // bytes of the mirrored part
  size_t descriptors_ = 0, canaries_ = 0, flags_ = 0;
  size_t descriptor_bytes_ = 0;
  std::vector<Job*> nvjpeg_;  // in the order of their flags
  CanaryLaunch canary_{};
  Spec pixel_spec_;  // what the CPU does for kPixels
  Affine pixel_affine_;
  Plan identity_;
  Tiling identity_tiling_;
  std::mutex mutex_;                                   // of the next line
  int sharing_ = 0;                                    // cores that the first decoding had
  double seconds_[kRoutes] = {}, cost_[kRoutes] = {};  // of threads, by route
};

}  // namespace fastpre::cuda
