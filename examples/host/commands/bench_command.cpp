// iotsl bench: iotsl-bench, the program beside this one, with all arguments.

#include <unistd.h>

#include <cstring>

#include "host/commands/command.hpp"
#include "host/run/device_processes.hpp"

namespace iotsl::tool {

void add_bench_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "bench", "Measure how fast the engine is on this machine; options are those of iotsl-bench");
  // Its options, --help included, are the other program's.
  command->set_help_flag();
  command->fallthrough(false);
  command->prefix_command();
  command->callback([command] {
    std::string program = expect(program_beside("iotsl-bench"));
    std::vector<std::string> words = command->remaining();
    std::vector<char*> arguments{program.data()};
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(program.c_str(), arguments.data());
    fail_command(ErrorCode::other, program, ": cannot be started: ", std::strerror(errno));
  });
}

}  // namespace iotsl::tool
