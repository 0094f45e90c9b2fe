#pragma once

namespace zimage::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kInterrupted = 130;

// Each gets the arguments behind its name, returns an exit code and throws zimage::Error.
int generate(int argc, char** argv);
int control(int argc, char** argv);
int preprocess(int argc, char** argv);
int download(int argc, char** argv);
int models(int argc, char** argv);
int inspect(int argc, char** argv);
int quantize(int argc, char** argv);
int quantize_controlnet(int argc, char** argv);
int plan(int argc, char** argv);

}  // namespace zimage::cli
