// The images of a batch that share a staging buffer: decoded together, resampled by one launch.
#pragma once

#include <mutex>
#include <span>
#include <vector>

#include "core/helper_threads.h"
#include "cpu/worker.h"
#include "cuda/device.h"
#include "cuda/image_job.h"

namespace fastpre::cuda {

struct Batch;

class MicroBatch {
 public:
  MicroBatch(Device* device, const Batch& batch, std::span<ImageJob> jobs);
  ~MicroBatch();
  MicroBatch(const MicroBatch&) = delete;
  MicroBatch& operator=(const MicroBatch&) = delete;

  // Bytes that these jobs take, as laid out.
  static size_t DeviceBytes(std::span<const ImageJob> jobs);
  static size_t PinnedBytes(std::span<const ImageJob> jobs);

  // False: memory is short, and nothing has happened.
  bool TakeStaging();
  // Throws CudaError.
  void Run();

 private:
  struct Turn {
    ImageJob* job;  // null: all that the engines decode
    double cost;
  };

  void Place();
  void MarkPlanes();
  void Decode(std::vector<Turn> turns);
  void DecodeOnEngines();
  void DecodeOne(ImageJob* job, Worker& worker, HelperThreads* helpers);
  bool DecodeCoefficients(ImageJob* job, HelperThreads* helpers);
  void DecodeHybrid(ImageJob* job);
  void DecodePixels(ImageJob* job, Worker& worker, HelperThreads* helpers);
  void FindUnwritten();
  void Retry();
  void Observe(DecodePath path, double sharing);
  void Launch();
  void AddToLaunch(const ImageJob& job, BatchPacker* packer);
  NvjpegTask NvjpegTaskOf(ImageJob* job);

  Device& device_;
  const Batch& batch_;
  std::span<ImageJob> jobs_;
  StagingBuffer* staging_ = nullptr;
  bool launched_ = false;
  size_t mirrored_ = 0;  // bytes of the mirrored part
  size_t descriptors_ = 0, canaries_ = 0, flags_ = 0;
  size_t descriptor_bytes_ = 0;
  std::vector<ImageJob*> nvjpeg_;  // in the order of their flags
  CanaryLaunch canary_{};
  Spec pixel_spec_;  // what the CPU does for kPixels
  Affine pixel_affine_;
  Plan identity_;
  Tiling identity_tiling_;
  std::mutex mutex_;                                 // of the next line
  int sharing_ = 0;                                  // cores that the first decoding had
  double seconds_[kPaths] = {}, cost_[kPaths] = {};  // of threads, by path
};

}  // namespace fastpre::cuda
