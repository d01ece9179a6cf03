// What the server says about itself. Cheap: answered on the connection's thread, so that it works when every worker is
// busy.
#pragma once

#include "server/http/exchange.h"
#include "server/http/http_server.h"
#include "server/service.h"

namespace millrace {

HttpResponse Models(const Service& service);
HttpResponse Model(const Service& service, const std::string& name);
// 200 while the engine makes progress or has nothing to do, 503 when it stalls.
HttpResponse Health(const Service& service);
// 200 when new requests are welcome.
HttpResponse Ready(const Service& service);
HttpResponse Version(const std::string& version);
HttpResponse Load(const Service& service);
HttpResponse MetricsPage(const Service& service, const HttpServerStats& http);

// The value of an endpoint-load-metrics header in the format that the client asked for, "TEXT" or "JSON"; "" for
// others.
std::string OrcaReport(const Service& service, std::string_view format);

}  // namespace millrace
