// SVG pictures of a run: no library, no font files; colours hold on white and on dark paper.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include "bench_serve_report.h"

namespace millrace {
namespace {

constexpr double kPanelWidth = 440, kPanelHeight = 240, kLeft = 62, kRight = 16, kTop = 34, kBottom = 40;
constexpr int kMaxPoints = 600;
constexpr int kTimeBins = 100;

struct Series {
  std::vector<std::pair<double, double>> points;
  const char* color = "#0a7f9b";
  const char* name = "";
};

struct Panel {
  std::string title, x_label;
  std::vector<Series> series;
  double y_max = 0.0;  // 0: from the points
  const char* y_suffix = "";
};

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else if (c == '&')
      escaped += "&amp;";
    else
      escaped += c;
  }
  return escaped;
}

// A round step: about `wanted` of them make `range`.
double RoundStep(double range, int wanted) {
  const double raw = std::max(range, 1e-9) / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10.0 * power;
}

std::string Number(double value) {
  if (std::abs(value) >= 10000) return fmt::format("{:.0f}k", value / 1000);
  return fmt::format("{:.6g}", std::round(value * 1000) / 1000);
}

void DrawPanel(const Panel& panel, double left, double top, std::string& svg) {
  auto out = std::back_inserter(svg);
  double x_max = 1e-9, y_max = panel.y_max;
  for (const Series& series : panel.series) {
    for (const auto& [x, y] : series.points) {
      x_max = std::max(x_max, x);
      if (panel.y_max == 0) y_max = std::max(y_max, y);
    }
  }
  const double x_step = RoundStep(x_max, 5), y_step = RoundStep(std::max(y_max, 1e-9), 4);
  x_max = std::ceil(x_max / x_step - 1e-9) * x_step;
  y_max = std::ceil(std::max(y_max, 1e-9) / y_step - 1e-9) * y_step;
  const double width = kPanelWidth - kLeft - kRight, height = kPanelHeight - kTop - kBottom;
  const auto px = [&](double x) { return left + kLeft + x / x_max * width; };
  const auto py = [&](double y) { return top + kTop + (1.0 - y / y_max) * height; };
  fmt::format_to(out, "<text x=\"{:.0f}\" y=\"{:.0f}\" font-weight=\"600\" fill=\"#16232a\">{}</text>\n", left + kLeft,
                 top + 20, Escaped(panel.title));
  for (double y = 0; y <= y_max + y_step / 2; y += y_step) {
    fmt::format_to(out,
                   "<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"#dbe2e3\"/><text x=\"{:.1f}\" y=\"{:.1f}\" "
                   "text-anchor=\"end\">{}{}</text>\n",
                   px(0), py(y), width, px(0) - 7, py(y) + 4, Number(y), panel.y_suffix);
  }
  for (double x = 0; x <= x_max + x_step / 2; x += x_step) {
    fmt::format_to(out, "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", px(x), py(0) + 16,
                   Number(x));
  }
  fmt::format_to(out, "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", left + kLeft + width / 2,
                 top + kPanelHeight - 6, Escaped(panel.x_label));
  double legend = left + kPanelWidth - kRight;
  for (auto series = panel.series.rbegin(); series != panel.series.rend(); ++series) {
    if (!series->points.empty()) {
      fmt::format_to(out, "<path fill=\"none\" stroke-width=\"1.8\" stroke-linejoin=\"round\" stroke=\"{}\" d=\"",
                     series->color);
      char command = 'M';
      for (const auto& [x, y] : series->points)
        fmt::format_to(out, "{}{:.1f} {:.1f}", std::exchange(command, 'L'), px(x), py(std::min(y, y_max)));
      svg += "\"/>\n";
    }
    if (panel.series.size() < 2) continue;
    fmt::format_to(out, "<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"end\" fill=\"{}\">{}</text>\n", legend, top + 20,
                   series->color, series->name);
    legend -= 7.0 * static_cast<double>(std::string_view(series->name).size()) + 14;
  }
}

// Percent of the values up to x.
Series Distribution(std::vector<double> values, const char* color, const char* name) {
  Series series{.color = color, .name = name};
  if (values.empty()) return series;
  std::sort(values.begin(), values.end());
  const int count = std::min<int>(kMaxPoints, static_cast<int>(values.size()));
  series.points.emplace_back(values.front(), 0.0);
  for (int i = 1; i <= count; ++i) {
    const size_t rank = values.size() * static_cast<size_t>(i) / static_cast<size_t>(count);
    series.points.emplace_back(values[rank - 1],
                               100.0 * static_cast<double>(rank) / static_cast<double>(values.size()));
  }
  return series;
}

// The longest 1 % would leave the rest no room.
std::vector<double> WithoutTail(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  if (values.size() >= 200) values.resize(values.size() - values.size() / 200);
  return values;
}

struct Timeline {
  double bin_s;
  std::vector<double> tokens, sent, completed, refused;

  explicit Timeline(const std::vector<RequestRecord>& records)
      : tokens(kTimeBins), sent(kTimeBins), completed(kTimeBins), refused(kTimeBins) {
    double last = 1e-3;
    for (const RequestRecord& record : records) last = std::max(last, record.end_s);
    bin_s = last / kTimeBins;
    const auto bin = [&](double time) { return static_cast<size_t>(std::clamp(time / bin_s, 0.0, kTimeBins - 1.0)); };
    for (const RequestRecord& record : records) {
      ++sent[bin(record.start_s)];
      if (record.ok()) ++completed[bin(record.end_s)];
      if (record.status == 429 || record.status == 503) ++refused[bin(record.end_s)];
      const double each = record.event_s.empty()
                              ? 0.0
                              : static_cast<double>(record.output_tokens) / static_cast<double>(record.event_s.size());
      for (const double time : record.event_s) tokens[bin(time)] += each;
    }
  }

  Series PerSecond(const std::vector<double>& counts, const char* color, const char* name) const {
    Series series{.color = color, .name = name};
    for (size_t i = 0; i < counts.size(); ++i)
      series.points.emplace_back((static_cast<double>(i) + 0.5) * bin_s, counts[i] / bin_s);
    return series;
  }
  // Running sums: gaps between what was asked and what was answered are requests that wait.
  Series Sum(const std::vector<double>& counts, const char* color, const char* name) const {
    Series series{.points = {{0.0, 0.0}}, .color = color, .name = name};
    double sum = 0.0;
    for (size_t i = 0; i < counts.size(); ++i)
      series.points.emplace_back((static_cast<double>(i) + 1.0) * bin_s, sum += counts[i]);
    return series;
  }
};

}  // namespace

std::string ServePlots(const std::string& title, const std::vector<RequestRecord>& records) {
  std::vector<double> ttft, tpot, itl, e2e;
  for (const RequestRecord& record : records) {
    if (!record.ok()) continue;
    ttft.push_back(record.ttft_ms());
    e2e.push_back(record.e2e_ms());
    if (record.tpot_ms() >= 0) tpot.push_back(record.tpot_ms());
    for (size_t i = 1; i < record.event_s.size(); ++i) itl.push_back((record.event_s[i] - record.event_s[i - 1]) * 1e3);
  }
  const Timeline timeline(records);
  constexpr const char *kBlue = "#0a7f9b", *kOrange = "#d9822b", *kRed = "#b3261e";
  const Panel panels[] = {
      {.title = "Time to first token",
       .x_label = "ms",
       .series = {Distribution(WithoutTail(ttft), kBlue, "")},
       .y_max = 100,
       .y_suffix = "%"},
      {.title = "Between tokens",
       .x_label = "ms",
       .series = {Distribution(WithoutTail(tpot), kBlue, "mean of a request"),
                  Distribution(WithoutTail(itl), kOrange, "each gap")},
       .y_max = 100,
       .y_suffix = "%"},
      {.title = "Output tokens a second", .x_label = "s", .series = {timeline.PerSecond(timeline.tokens, kBlue, "")}},
      {.title = "Requests",
       .x_label = "s",
       .series = {timeline.Sum(timeline.sent, kOrange, "sent"), timeline.Sum(timeline.completed, kBlue, "completed"),
                  timeline.Sum(timeline.refused, kRed, "refused")}},
  };
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "font-family=\"sans-serif\" font-size=\"11\" fill=\"#586a73\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"{2:.0f}\" y=\"24\" font-size=\"14\" "
      "fill=\"#16232a\">{3}</text>\n",
      2 * kPanelWidth, 2 * kPanelHeight + 40, kLeft, Escaped(title));
  for (int i = 0; i < 4; ++i) DrawPanel(panels[i], i % 2 * kPanelWidth, 40 + i / 2 * kPanelHeight, svg);
  return svg + "</svg>\n";
}

}  // namespace millrace
