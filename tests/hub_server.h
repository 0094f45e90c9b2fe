// A small HTTP server on 127.0.0.1 that answers as the hub does, and misbehaves on demand.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/check.h"

namespace zimage {

struct ServerRequest {
  std::string target;                          // path and query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
};

struct ServerAnswer {
  int status = 200;
  std::map<std::string, std::string> headers = {};
  std::string body = {};
  std::size_t cut_after = std::string::npos;  // bytes of the body, then the line breaks
  int pause_ms = 0;                           // before every 4096 bytes of the body
};

// One thread for each connection, one request on each.
class HubServer {
 public:
  using Handler = std::function<ServerAnswer(const ServerRequest&)>;

  explicit HubServer(Handler handler) : handler_(std::move(handler)) {
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    check(bind(socket_, plain, length) == 0 && listen(socket_, 64) == 0 &&
              getsockname(socket_, plain, &length) == 0,
          "no port for the test server");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~HubServer() {
    is_stopping_ = true;
    acceptor_.join();
    for (std::thread& worker : workers_) worker.join();
    close(socket_);
  }
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  std::string url() const { return str("http://127.0.0.1:", port_); }
  std::vector<ServerRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    while (!is_stopping_) {
      pollfd waiting{socket_, POLLIN, 0};
      if (poll(&waiting, 1, 20) <= 0) continue;
      const int connection = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection >= 0) workers_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    ServerRequest request;
    if (read_request(connection, request)) {
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      send_answer(connection, handler_(request));
    }
    close(connection);
  }

  static bool read_request(int connection, ServerRequest& request) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == text.npos) {
      const ssize_t n = recv(connection, buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    const std::size_t first = text.find(' '), second = text.find(' ', first + 1);
    request.target = text.substr(first + 1, second - first - 1);
    for (std::size_t at = text.find("\r\n") + 2; at < text.size() && text[at] != '\r';) {
      const std::size_t end = text.find("\r\n", at), colon = text.find(':', at);
      std::string name = text.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      request.headers[name] = text.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    return true;
  }

  void send_answer(int connection, const ServerAnswer& answer) const {
    std::string head = str("HTTP/1.1 ", answer.status, " x\r\nConnection: close\r\n");
    if (!answer.headers.contains("Content-Length")) {
      head += str("Content-Length: ", answer.body.size(), "\r\n");
    }
    for (const auto& [name, value] : answer.headers) head += str(name, ": ", value, "\r\n");
    if (!send_all(connection, head + "\r\n")) return;
    const std::string body = answer.body.substr(0, answer.cut_after);
    constexpr std::size_t kPiece = 4096;
    for (std::size_t at = 0; at < body.size(); at += kPiece) {
      if (answer.pause_ms > 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(answer.pause_ms));
      if (is_stopping_ || !send_all(connection, body.substr(at, kPiece))) return;
    }
  }

  static bool send_all(int connection, const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t n = send(connection, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
    }
    return true;
  }

  Handler handler_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<bool> is_stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<ServerRequest> requests_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

}  // namespace zimage
