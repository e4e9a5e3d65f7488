#pragma once
// Everything that runs split learning on a host: run_server and run_device over TCP, run_inproc,
// and run_one_net without a split. A device program includes device/device_tcp.hpp only.

#include "iotsl/split/device/device_tcp.hpp"
#include "iotsl/split/server/server_tcp.hpp"
#include "iotsl/split/simulate/run_inproc.hpp"
#include "iotsl/split/simulate/run_one_net.hpp"
