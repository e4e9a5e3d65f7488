#pragma once
// Everything that runs split learning on a host: run_server and run_device over TCP, run_inproc,
// and run_none without a split. A device program includes session_tcp_device.hpp only.

#include "iotsl/split/session_inproc.hpp"
#include "iotsl/split/session_none.hpp"
#include "iotsl/split/session_tcp_device.hpp"
#include "iotsl/split/session_tcp_server.hpp"
