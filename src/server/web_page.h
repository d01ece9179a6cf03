// The web page: one document with its style and script inside, made of src/server/ui at build time.
#pragma once

#include <string_view>

#include "server/http/exchange.h"

namespace millrace {

// Generated (cmake/EmbedPage.cmake). The document has @STYLE@ and @SCRIPT@ where the other two belong.
extern const std::string_view kPageSource;
extern const std::string_view kPageStyle;
extern const std::string_view kPageScript;

// The reply to GET /. Its Content-Security-Policy admits exactly this style and script, by their digests, and
// connections to this server; trusted types forbid making HTML of strings. Nothing is loaded from elsewhere.
HttpResponse WebPage();

}  // namespace millrace
