#pragma once

#include <stdexcept>
#include <string>

namespace zimage {

// The user or a file is wrong. what() is one line: the place, what was found, what was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An option is out of range or options contradict each other; programs exit with 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

// The caller's callback asked to stop; programs exit with 130.
class Cancelled : public Error {
 public:
  using Error::Error;
};

}  // namespace zimage
