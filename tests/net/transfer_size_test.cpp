#include "iotsl/net/link/transfer_size.hpp"

#include <doctest/doctest.h>

using namespace iotsl;
using namespace iotsl::net;

namespace transfer_size_test {

TEST_CASE("transfer size: what is counted before is what is sent") {
  for (const MessageType kind : {MessageType::gen_upload, MessageType::step})
    for (const std::size_t content : {std::size_t{0}, std::size_t{1}, chunk_content_bytes,
                                      chunk_content_bytes + 1, 3 * chunk_content_bytes - 1})
      for (const std::size_t rank : {0U, 4U}) {
        INFO(to_string(kind) << " of " << content << " bytes, rank " << rank);
        Message message;
        message.type = kind;
        message.payload.resize(content);
        message.form.shape.resize(rank);
        MessageSender sender(std::move(message), 1);
        FrameWriter frames;
        Bytes wire;
        while (!sender.write_next(frames, wire)) {
        }
        CHECK(transfer_bytes(kind, content, rank) == wire.size());
      }
}

}  // namespace transfer_size_test
