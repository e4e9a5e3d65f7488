// One target of this program under libFuzzer: --target=NAME. --list prints the targets, --seeds=DIR
// writes the target's seeds into a folder, with a dictionary of the words in them beside it; either
// ends the program.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "fuzz/fuzz.hpp"

namespace {

using namespace iotsl;

const fuzz::Target* chosen_target = nullptr;

/// Words in quotation marks: keys and names, which a mutation would not guess.
void write_dictionary(const std::string& path, const std::vector<fuzz::Bytes>& seeds) {
  std::set<std::string> words;
  for (const fuzz::Bytes& seed : seeds) {
    const std::string_view text = text_of(seed);
    for (std::size_t at = text.find('"'); at != text.npos; at = text.find('"', at + 1)) {
      const std::size_t end = text.find('"', at + 1);
      if (end == text.npos) break;
      const std::string_view word = text.substr(at + 1, end - at - 1);
      const bool plain = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789-") ==
                         std::string_view::npos;
      if (plain && word.size() >= 2 && word.size() <= 40) words.emplace(word);
      at = end;
    }
  }
  std::string out;
  for (const std::string& word : words) out += "\"" + word + "\"\n";
  if (!out.empty() && !write_file_atomic(path, std::string_view(out))) std::exit(2);
}

void write_seeds(const fuzz::Target& target, const std::string& folder) {
  const std::vector<fuzz::Bytes> seeds = target.seeds();
  if (!create_folders(folder)) std::exit(2);
  for (std::size_t i = 0; i < seeds.size(); ++i)
    if (!write_file_atomic(join_path(folder, concat("seed-", i)), ByteSpan(seeds[i]))) std::exit(2);
  write_dictionary(folder + ".dict", seeds);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  std::string name, seeds;
  for (int i = 1; i < *count; ++i) {
    const std::string_view text = (*arguments)[i];
    if (text == "--list") {
      for (const fuzz::Target& target : fuzz::targets())
        std::printf("%s %zu\n", target.name, target.max_bytes);
      std::exit(0);
    }
    if (text.starts_with("--target=")) name = text.substr(9);
    if (text.starts_with("--seeds=")) seeds = text.substr(8);
  }
  for (const fuzz::Target& target : fuzz::targets())
    if (name == target.name) chosen_target = &target;
  if (chosen_target == nullptr) {
    std::fprintf(stderr, "--target='%s': expected one of those that --list prints\n", name.c_str());
    std::exit(2);
  }
  if (!seeds.empty()) {
    write_seeds(*chosen_target, seeds);
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen_target->run({data, size});
  return 0;
}
