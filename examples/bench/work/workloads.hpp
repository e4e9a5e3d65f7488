#pragma once
// What is measured beside the machine: the operations of the default nets, and whole steps.

#include "bench/work/workload.hpp"
#include "iotsl/options/optimizer.hpp"

namespace iotsl::bench {

/// Each different convolution of vgg16bn-compact forward and for both gradients, its linear layers
/// and the generator's, and batch norm with ReLU on each map. Names: conv2d/IN-OUT@SIZE/forward/nN.
Workloads kernel_workloads(const Scale& scale);

/// What a device and a server repeat: the device's half of a step, a training step, predictions,
/// and the two steps of the GAN.
Workloads step_workloads(const Scale& scale);

/// Forward, loss, backward and optimiser of a classifier of `batch` images.
Workload train_step(const std::string& model, const std::string& optimizer_name,
                    const OptimizerOptions& optimizer, Index batch);
/// Forward in evaluation mode.
Workload predict_step(const std::string& model, Index batch);
/// What a device computes in split learning: the layers before the cut, forward, and backward from
/// the gradient that the server has sent.
Workload device_step(Index batch);
/// The generator's images, the critic's loss with its gradient penalty, backward, Adam.
Workload critic_step(Index width, Index batch);
/// Images, the generator's loss, backward, Adam.
Workload generator_step(Index width, Index batch);

}  // namespace iotsl::bench
