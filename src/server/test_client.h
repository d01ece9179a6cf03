// A plain HTTP client over a blocking socket, for tests: what is sent is what the test says, byte for byte.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/json.h"

namespace millrace {

struct TestReply {
  int status = 0;  // 0: the connection ended before a reply
  std::string head, body;
  Json json() const { return Json::parse(body, nullptr, false); }
  // The data of server-sent events.
  std::vector<std::string> events() const {
    std::vector<std::string> list;
    for (size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
      const size_t end = body.find('\n', at);
      list.push_back(body.substr(at + 6, end - at - 6));
      at = end;
    }
    return list;
  }
};

class TestConnection {
 public:
  explicit TestConnection(int port, int timeout_s = 60) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval timeout{timeout_s, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    const int one = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~TestConnection() { Close(); }
  TestConnection(TestConnection&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_), buffer_(std::move(other.buffer_)) {}
  TestConnection(const TestConnection&) = delete;

  bool connected() const { return connected_; }
  void Close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  // From now on the kernel takes little more than so many bytes before they are read.
  void LimitReceiveBuffer(int bytes) { setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes); }
  // Ends the connection without telling the other side, as a machine does that loses its power; false without the right
  // to.
  bool Vanish() {
    const int on = 1;
    if (setsockopt(socket_, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0) return false;
    Close();
    return true;
  }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // False at the end of the connection or after the timeout.
  bool ReadSome() {
    char chunk[65536];
    ssize_t got;
    do got = ::recv(socket_, chunk, sizeof(chunk), 0);
    while (got < 0 && errno == EINTR);  // the process was stopped and goes on
    if (got <= 0) return false;
    buffer_.append(chunk, static_cast<size_t>(got));
    return true;
  }
  TestReply ReadReply() {
    TestReply reply;
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReadSome()) return reply;
    }
    reply.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    reply.status = std::atoi(reply.head.c_str() + 9);
    if (reply.head.find("Transfer-Encoding: chunked") != std::string::npos) {
      while (ReadChunk(&reply.body)) {
      }
    } else if (const size_t at = reply.head.find("Content-Length: "); at != std::string::npos) {
      const size_t length = std::strtoull(reply.head.c_str() + at + 16, nullptr, 10);
      while (buffer_.size() < length && ReadSome()) {
      }
      reply.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    }
    return reply;
  }
  TestReply Call(const std::string& method, const std::string& path, const std::string& body = "",
                 const std::string& headers = "") {
    Send(RequestText(method, path, body, headers));
    return ReadReply();
  }
  static std::string RequestText(const std::string& method, const std::string& path, const std::string& body = "",
                                 const std::string& headers = "") {
    return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

 private:
  bool ReadChunk(std::string* body) {
    size_t line;
    while ((line = buffer_.find("\r\n")) == std::string::npos) {
      if (!ReadSome()) return false;
    }
    const size_t size = std::strtoull(buffer_.c_str(), nullptr, 16);
    while (buffer_.size() < line + 2 + size + 2) {
      if (!ReadSome()) return false;
    }
    body->append(buffer_, line + 2, size);
    buffer_.erase(0, line + 2 + size + 2);
    return size > 0;
  }

  int socket_;
  bool connected_ = false;
  std::string buffer_;
};

}  // namespace millrace
