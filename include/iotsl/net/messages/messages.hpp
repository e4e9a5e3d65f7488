#pragma once
// The messages of ISL that need no transfer. Each lists its fields in the order of the wire.

#include "iotsl/net/messages/joining_messages.hpp"
#include "iotsl/net/messages/session_messages.hpp"
#include "iotsl/net/messages/turn_messages.hpp"
