// Prints what a replay of a trace gave, simulated or real.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sim/fleet.h"

namespace millrace {

nlohmann::ordered_json FleetReportToJson(const sim::FleetReport& report);
void PrintFleetReport(const sim::FleetReport& report);

}  // namespace millrace
