// Compiled twice into one program, with zlib and without: READ_IDX is the function's name.
#include <string>

#include "iotsl/data/idx.hpp"

std::string READ_IDX(const std::string& images, const std::string& labels);

std::string READ_IDX(const std::string& images, const std::string& labels) {
  const auto set = iotsl::data::load_idx(images, labels, 2);
  return set ? std::to_string(set->size()) + " images" : set.failure().message;
}
