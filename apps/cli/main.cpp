// zimage COMMAND [flags]: finds the command, runs it, and turns errors into one line and an exit
// code.
#include <array>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

#include "commands.h"
#include "zimage/error.h"

namespace {

using namespace zimage::cli;

struct Command {
  std::string_view name, help;
  int (*run)(int argc, char** argv);
};

constexpr std::array<Command, 9> kCommands{
    {{"generate", "text to image, image to image, inpainting", generate},
     {"control", "steered by edges, depth, a pose, or a picture to repaint", control},
     {"preprocess", "makes a control map of a photo", preprocess},
     {"plan", "what memory and time a picture would take", plan},
     {"models", "the known models and those in the cache", models},
     {"download", "fetch a model from the hub", download},
     {"inspect", "what a folder or file of weights is", inspect},
     {"quantize", "writes a model with weights of fewer bits", quantize},
     {"quantize-controlnet", "the same for a control network", quantize_controlnet}}};

void print_help() {
  std::cout << "zimage " ZIMAGE_VERSION
               ": text to image with the Z-Image family\n\n"
               "zimage COMMAND [flags]\n\n";
  for (const Command& command : kCommands) {
    std::cout << "  " << command.name << std::string(21 - command.name.size(), ' ') << command.help
              << '\n';
  }
  std::cout << "\nWithout a command the flags are generate's. zimage COMMAND --help lists them.\n";
}

int run(int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first.empty() || first == "--help" || first == "-h" || first == "help") {
    print_help();
    return first.empty() ? kWrongUsage : kDone;
  }
  if (first == "--version") {
    std::cout << "zimage " ZIMAGE_VERSION "\n";
    return kDone;
  }
  for (const Command& command : kCommands) {
    if (first == command.name) return command.run(argc - 1, argv + 1);
  }
  return generate(argc, argv);
}

// One line, whatever a file name or prompt in it holds.
void print_error(std::string_view message) {
  std::string line = "error: ";
  for (const char c : message) line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  std::cerr << line << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed stdout is a failed write, not a silent end
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that grows beyond the limit
  try {
    const int code = run(argc, argv);
    if (!std::cout.flush()) throw zimage::Error("stdout: cannot write");
    return code;
  } catch (const zimage::UsageError& error) {
    print_error(error.what());
    return kWrongUsage;
  } catch (const zimage::Cancelled&) {
    std::cerr << "interrupted" << std::endl;
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    print_error("out of memory");
    return kFailed;
  } catch (const std::exception& error) {
    print_error(error.what());
    return kFailed;
  }
}
