#include "server/web_page.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <string>

#include "base/check.h"

namespace millrace {
namespace {

// 'sha256-BASE64', as in https://www.w3.org/TR/CSP3/#grammardef-hash-source.
std::string HashSource(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 4 * ((SHA256_DIGEST_LENGTH + 2) / 3) + 1> encoded;
  const int length = EVP_EncodeBlock(encoded.data(), digest.data(), digest.size());
  return fmt::format("'sha256-{}'",
                     std::string_view(reinterpret_cast<const char*>(encoded.data()), static_cast<size_t>(length)));
}

void Replace(std::string_view mark, std::string_view text, std::string& page) {
  const size_t at = page.find(mark);
  CHECK(at != std::string::npos, "the page has no {}", mark);
  page.replace(at, mark.size(), text);
}

HttpResponse Assemble() {
  HttpResponse page{.content_type = "text/html; charset=utf-8"};
  page.body = kPageSource;
  Replace("@STYLE@", kPageStyle, page.body);
  Replace("@SCRIPT@", kPageScript, page.body);
  const std::string policy = fmt::format(
      "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; form-action 'none'; "
      "base-uri 'none'; "
      "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
      HashSource(kPageStyle), HashSource(kPageScript));
  page.headers = {{"Content-Security-Policy", policy},
                  {"X-Content-Type-Options", "nosniff"},
                  {"Referrer-Policy", "no-referrer"},
                  {"Cross-Origin-Opener-Policy", "same-origin"},
                  {"Cross-Origin-Resource-Policy", "same-origin"},
                  {"Cache-Control", "no-cache"}};
  return page;
}

}  // namespace

HttpResponse WebPage() {
  static const HttpResponse page = Assemble();
  return page;
}

}  // namespace millrace
