#include "sim/cost_model.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace millrace::sim {
namespace {

constexpr size_t kMaxCostFileBytes = size_t{256} << 20;
constexpr int kMaxSweeps = 20'000;
constexpr int kFitRounds = 5;

// The steps behind a line of `bench --json`: pp<N> at a depth in chunks of 512, tg<N> of a batch.
Result<StepSample> SampleOfBench(const nlohmann::json& line) {
  const auto number = [&](const char* key, double otherwise) {
    const auto found = line.find(key);
    return found != line.end() && found->is_number() ? found->get<double>() : otherwise;
  };
  const auto name = line.find("test");
  const std::string test = name != line.end() && name->is_string() ? name->get<std::string>() : "";
  const double rate = number("tokens_per_second", 0);
  const int depth = static_cast<int>(std::clamp(number("depth", 0), 0.0, 1e8));
  const int batch = static_cast<int>(std::clamp(number("batch", 1), 0.0, 1e6));
  if (test.size() < 3 || test.size() > 9 || rate <= 0 || batch < 1)
    return InvalidArgument("a result of bench has no test or rate");
  const int count = std::atoi(test.c_str() + 2);
  if (count < 1) return InvalidArgument("a result of bench has the test \"{}\"", test);
  StepSample sample;
  if (test.starts_with("pp")) {
    const int chunk = std::min(count, 512);
    sample.shape = {chunk, 1, int64_t{chunk} * (depth + count / 2), 0};
    sample.us = 1e6 * chunk / rate;
  } else {
    sample.shape = {batch, batch, int64_t{batch} * (depth + count / 2), 0};
    sample.us = 1e6 * batch / rate;
  }
  return sample;
}

double Relative(double predicted, double measured) {
  return predicted / measured - 1.0;
}

}  // namespace

StepShape ShapeOf(const Batch& batch) {
  StepShape shape;
  shape.num_tokens = batch.num_tokens();
  shape.num_outputs = static_cast<int>(batch.outputs.size());
  shape.num_copies = static_cast<int>(batch.copies.size());
  for (int row = 0; row < batch.num_rows(); ++row) {
    const int64_t context = batch.context_len[static_cast<size_t>(row)];
    const int64_t count = batch.query_start[static_cast<size_t>(row) + 1] - batch.query_start[static_cast<size_t>(row)];
    shape.num_pairs += count * context + count * (count + 1) / 2;
  }
  return shape;
}

std::array<double, StepCostModel::kFeatures> StepCostModel::Features(const StepShape& shape) {
  std::array<double, kFeatures> x{};
  x[0] = 1.0;
  size_t f = 1;
  for (size_t k = 0; k < kTokenKnots.size(); ++k, ++f) {
    const int low = kTokenKnots[k];
    const int high = k + 1 < kTokenKnots.size() ? kTokenKnots[k + 1] : std::max(shape.num_tokens, low);
    x[f] = std::clamp(shape.num_tokens, low, high) - low;
  }
  x[f++] = shape.num_outputs;
  x[f++] = static_cast<double>(shape.num_pairs);
  x[f] = shape.num_copies;
  return x;
}

// One weighted fit: rows are divided by `size` of their step, columns scaled to unit length.
void StepCostModel::FitOnce(std::span<const StepSample> samples, std::span<const double> size) {
  std::array<std::array<double, kFeatures>, kFeatures> gram{};
  std::array<double, kFeatures> target{}, scale{};
  for (size_t s = 0; s < samples.size(); ++s) {
    const std::array<double, kFeatures> x = Features(samples[s].shape);
    const double weight = 1.0 / (size[s] * size[s]);
    for (size_t i = 0; i < kFeatures; ++i) {
      target[i] += x[i] * samples[s].us * weight;
      for (size_t j = 0; j < kFeatures; ++j) gram[i][j] += x[i] * x[j] * weight;
    }
  }
  for (size_t i = 0; i < kFeatures; ++i) scale[i] = gram[i][i] > 0 ? std::sqrt(gram[i][i]) : 1.0;
  std::array<double, kFeatures> w{};  // coefficient * scale
  for (size_t i = 0; i < kFeatures; ++i) w[i] = coefficients_[i] * scale[i];
  for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
    double change = 0;
    for (size_t i = 0; i < kFeatures; ++i) {
      if (gram[i][i] <= 0) continue;
      double rest = target[i] / scale[i];
      for (size_t j = 0; j < kFeatures; ++j) {
        if (j != i) rest -= gram[i][j] / (scale[i] * scale[j]) * w[j];
      }
      const double next = std::max(0.0, rest);
      change = std::max(change, std::fabs(next - w[i]));
      w[i] = next;
    }
    if (change < 1e-9 * std::sqrt(static_cast<double>(samples.size()))) break;
  }
  for (size_t i = 0; i < kFeatures; ++i) coefficients_[i] = w[i] / scale[i];
}

Result<StepCostModel> StepCostModel::Fit(std::span<const StepSample> all) {
  std::vector<StepSample> samples;
  std::copy_if(all.begin(), all.end(), std::back_inserter(samples),
               [](const StepSample& s) { return s.us > 0 && s.shape.num_tokens >= 1; });
  if (samples.empty()) return InvalidArgument("there is no measured step to learn from");
  StepCostModel model;
  std::vector<double> size;
  for (const StepSample& sample : samples) size.push_back(sample.us);
  // Weights of the first fit come from the measured times, which favours the lucky ones among equal steps; those of the
  // others from the times predicted, so that the mean is right.
  for (int round = 0; round < kFitRounds; ++round) {
    model.FitOnce(samples, size);
    for (size_t s = 0; s < samples.size(); ++s) size[s] = std::max(model.Us(samples[s].shape), 1.0);
  }
  std::vector<double> errors;
  double predicted = 0, measured = 0;
  for (const StepSample& sample : samples) {
    errors.push_back(std::fabs(Relative(model.Us(sample.shape), sample.us)));
    predicted += model.Us(sample.shape);
    measured += sample.us;
  }
  std::nth_element(errors.begin(), errors.begin() + static_cast<long>(errors.size() / 2), errors.end());
  model.median_error_ = errors[errors.size() / 2];
  model.total_error_ = Relative(predicted, measured);
  return model;
}

double StepCostModel::Us(const StepShape& shape) const {
  const std::array<double, kFeatures> x = Features(shape);
  double us = 0;
  for (size_t i = 0; i < kFeatures; ++i) us += coefficients_[i] * x[i];
  return us;
}

Result<StepCostModel> StepCostModel::Parse(std::string_view text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return InvalidArgument("expected a JSON object, as bench writes it");
  std::vector<StepSample> samples;
  if (const auto steps = json.find("steps"); steps != json.end() && steps->is_array()) {
    for (const auto& step : *steps) {
      const bool numbers =
          step.is_array() && step.size() == 5 &&
          std::all_of(step.begin(), step.begin() + 4, [](const auto& value) { return value.is_number_integer(); }) &&
          step[4].is_number();
      if (!numbers) return InvalidArgument("a step is not [tokens, outputs, pairs, copies, us]");
      samples.push_back({{step[0].get<int>(), step[1].get<int>(), step[2].get<int64_t>(), step[3].get<int>()},
                         step[4].get<double>()});
    }
  } else if (const auto results = json.find("results"); results != json.end() && results->is_array()) {
    for (const auto& line : *results) {
      if (!line.is_object()) return InvalidArgument("a result is not an object");
      ASSIGN_OR_RETURN(const StepSample sample, SampleOfBench(line));
      samples.push_back(sample);
    }
  } else {
    return InvalidArgument("found neither \"steps\" nor \"results\", as bench writes them");
  }
  return Fit(samples);
}

Result<StepCostModel> StepCostModel::Load(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxCostFileBytes));
  Result<StepCostModel> model = Parse(text);
  if (!model.ok()) return model.status().WithPrefix(path);
  return model;
}

std::string StepSamplesToJson(std::span<const StepSample> samples) {
  std::string text = "{\"steps\": [\n";
  for (size_t i = 0; i < samples.size(); ++i) {
    const StepShape& s = samples[i].shape;
    text += fmt::format("[{}, {}, {}, {}, {}]{}\n", s.num_tokens, s.num_outputs, s.num_pairs, s.num_copies,
                        samples[i].us, i + 1 < samples.size() ? "," : "");
  }
  return text + "]}\n";
}

}  // namespace millrace::sim
