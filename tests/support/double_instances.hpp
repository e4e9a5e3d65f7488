#pragma once
// The operations on double, which gradient checks use everywhere, compiled once for all test
// programs (double_instances.cpp), as iotsl::compiled does it for float. What is missing here still
// works, it is compiled where it is used.

#include "iotsl/iotsl.hpp"

#if defined(TEST_EMIT_DOUBLE)
#define TEST_DOUBLE(...) template __VA_ARGS__;
#else
#define TEST_DOUBLE(...) extern template __VA_ARGS__;
#endif

IOTSL_NAMESPACE_BEGIN

TEST_DOUBLE(std::vector<Tensor<double>> grad(const std::vector<Tensor<double>>&,
                                             const std::vector<Tensor<double>>&,
                                             const std::vector<Tensor<double>>&, GradOptions))
TEST_DOUBLE(void backward(const Tensor<double>&, const Tensor<double>&, GradOptions))
TEST_DOUBLE(Sequential<double> build_model(const ModelSpec&))
TEST_DOUBLE(class Sequential<double>)
TEST_DOUBLE(Tensor<double> relu(Tensor<double>))
TEST_DOUBLE(Tensor<double> leaky_relu(Tensor<double>, double))
TEST_DOUBLE(Tensor<double> normal_cdf(const Tensor<double>&))
TEST_DOUBLE(Tensor<double> silu(const Tensor<double>&))
TEST_DOUBLE(Tensor<double> gelu(const Tensor<double>&, GeluForm))
TEST_DOUBLE(Tensor<double> group_norm(const Tensor<double>&, Index, const Tensor<double>&,
                                      const Tensor<double>&, double))
TEST_DOUBLE(Tensor<double> layer_norm(const Tensor<double>&, const Tensor<double>&,
                                      const Tensor<double>&, double))
TEST_DOUBLE(Tensor<double> avg_pool2d(const Tensor<double>&, AvgPool2dOptions))
TEST_DOUBLE(Tensor<double> softmax(const Tensor<double>&))
TEST_DOUBLE(Tensor<double> mse_loss(const Tensor<double>&, const Tensor<double>&))
TEST_DOUBLE(Tensor<double> dropout(Tensor<double>, double, const Random&))
TEST_DOUBLE(Tensor<double> conv2d(const Tensor<double>&, const Tensor<double>&,
                                  const Tensor<double>&, Conv2dOptions))
TEST_DOUBLE(Tensor<double> conv_transpose2d(const Tensor<double>&, const Tensor<double>&,
                                            const Tensor<double>&, Conv2dOptions, Index, Index))
TEST_DOUBLE(Tensor<double> conv2d_weight_grad(const Tensor<double>&, const Tensor<double>&, Index,
                                              Index, Conv2dOptions))
TEST_DOUBLE(Tensor<double> add(const Tensor<double>&, const Tensor<double>&))
TEST_DOUBLE(Tensor<double> sub(const Tensor<double>&, const Tensor<double>&))
TEST_DOUBLE(Tensor<double> mul(const Tensor<double>&, const Tensor<double>&))
TEST_DOUBLE(Tensor<double> div(const Tensor<double>&, const Tensor<double>&))
TEST_DOUBLE(Tensor<double> neg(Tensor<double>))
TEST_DOUBLE(Tensor<double> exp(Tensor<double>))
TEST_DOUBLE(Tensor<double> sqrt(Tensor<double>))
TEST_DOUBLE(Tensor<double> rsqrt(Tensor<double>))
TEST_DOUBLE(Tensor<double> reciprocal(Tensor<double>))
TEST_DOUBLE(Tensor<double> sigmoid(Tensor<double>))
TEST_DOUBLE(Tensor<double> tanh(Tensor<double>))
TEST_DOUBLE(Tensor<double> square(Tensor<double>))
TEST_DOUBLE(Tensor<double> log(const Tensor<double>&))
TEST_DOUBLE(Tensor<double> abs(const Tensor<double>&))
TEST_DOUBLE(Tensor<double> affine(Tensor<double>, double, double))
TEST_DOUBLE(Tensor<double> log_softmax(const Tensor<double>&))
TEST_DOUBLE(Tensor<double> softmax_cross_entropy(const Tensor<double>&,
                                                 std::span<const std::int32_t>))
TEST_DOUBLE(Tensor<double> matmul(const Tensor<double>&, const Tensor<double>&, ProductPrecision))
TEST_DOUBLE(Tensor<double> matmul_nt(const Tensor<double>&, const Tensor<double>&, ProductPrecision))
TEST_DOUBLE(Tensor<double> matmul_tn(const Tensor<double>&, const Tensor<double>&, ProductPrecision))
TEST_DOUBLE(Tensor<double> linear(const Tensor<double>&, const Tensor<double>&,
                                  const Tensor<double>&, ProductPrecision))
TEST_DOUBLE(Tensor<double> batch_norm2d(const Tensor<double>&, const Tensor<double>&,
                                        const Tensor<double>&, Tensor<double>&, Tensor<double>&,
                                        BatchNormOptions))
TEST_DOUBLE(Tensor<double> max_pool2d(const Tensor<double>&, Pool2dOptions))
TEST_DOUBLE(Tensor<double> global_avg_pool2d(const Tensor<double>&))
TEST_DOUBLE(Tensor<double> broadcast_to(const Tensor<double>&, const Shape&))
TEST_DOUBLE(Tensor<double> sum_to(const Tensor<double>&, const Shape&))
TEST_DOUBLE(Tensor<double> sum(const Tensor<double>&, std::initializer_list<int>, bool))
TEST_DOUBLE(Tensor<double> mean(const Tensor<double>&, std::initializer_list<int>, bool))
TEST_DOUBLE(Tensor<double> reshape(const Tensor<double>&, const Shape&))
TEST_DOUBLE(Tensor<double> slice(const Tensor<double>&, int, Index, Index))
TEST_DOUBLE(Tensor<double> pad(const Tensor<double>&, int, Index, Index))
TEST_DOUBLE(Tensor<double> concat(const std::vector<Tensor<double>>&, int))
TEST_DOUBLE(Tensor<double> transpose(const Tensor<double>&))
TEST_DOUBLE(class Optimizer<double>)

IOTSL_NAMESPACE_END

#undef TEST_DOUBLE
