#include "grammar/formats.h"

#include <string>
#include <utility>

#include "grammar/dfa_builder.h"
#include "grammar/regex.h"

namespace millrace::grammar {
namespace {

constexpr char kDate[] =
    "(\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))"
    "|((\\d\\d)(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
// RFC 3339, with leap seconds where UTC has them and the offset is zero: other offsets would need an automaton state
// for every minute of the day.
constexpr char kTime[] =
    "(([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?([zZ]|[+-]([01]\\d|2[0-3]):[0-5]\\d)|23:59:60(\\.\\d+)?([zZ]|[+-]00:"
    "00))";
constexpr char kUuid[] = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
constexpr char kIpv4[] = "((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
constexpr char kLabel[] = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
constexpr char kDuration[] =
    "P((\\d+Y(\\d+M(\\d+D)?)?|\\d+M(\\d+D)?|\\d+D)(T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S))?"
    "|T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)|\\d+W)";
constexpr char kJsonPointer[] = "(/([^/~]|~[01])*)*";

std::string Ipv6() {
  const std::string h = "[0-9a-fA-F]{1,4}", last = "(" + h + ":" + h + "|" + kIpv4 + ")";
  std::string out = "((" + h + ":){6}" + last;
  out += "|::(" + h + ":){5}" + last;
  out += "|(" + h + ")?::(" + h + ":){4}" + last;
  for (int n = 1; n <= 4; ++n) {
    out += "|((" + h + ":){0," + std::to_string(n) + "}" + h + ")?::(" + h + ":){" + std::to_string(4 - n) + "}" + last;
  }
  out += "|((" + h + ":){0,5}" + h + ")?::" + h + "|((" + h + ":){0,6}" + h + ")?::)";
  return out;
}

// RFC 3986.
struct UriParts {
  const std::string pchar = "([a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})";
  const std::string userinfo = "([a-zA-Z0-9._~!$&'()*+,;=:-]|%[0-9a-fA-F]{2})*";
  const std::string reg_name = "([a-zA-Z0-9._~!$&'()*+,;=-]|%[0-9a-fA-F]{2})*";
  const std::string host = "(\\[(" + Ipv6() + "|v[0-9a-fA-F]+\\.[a-zA-Z0-9._~!$&'()*+,;=:-]+)\\]|" + reg_name + ")";
  const std::string authority = "(" + userinfo + "@)?" + host + "(:\\d*)?";
  const std::string abempty = "(/" + pchar + "*)*";
  const std::string absolute = "/(" + pchar + "+(/" + pchar + "*)*)?";
  const std::string rootless = pchar + "+(/" + pchar + "*)*";
  const std::string noscheme = "([a-zA-Z0-9._~!$&'()*+,;=@-]|%[0-9a-fA-F]{2})+(/" + pchar + "*)*";
  const std::string tail = "(\\?(" + pchar + "|[/?])*)?(#(" + pchar + "|[/?])*)?";
  const std::string uri =
      "[a-zA-Z][a-zA-Z0-9+.-]*:(//" + authority + abempty + "|" + absolute + "|" + rootless + ")?" + tail;
  const std::string relative = "(//" + authority + abempty + "|" + absolute + "|" + noscheme + ")?" + tail;
};

std::string RegexOf(std::string_view name) {
  if (name == "date") return kDate;
  if (name == "time") return kTime;
  if (name == "date-time") return std::string(kDate) + "[tT]" + kTime;
  if (name == "uuid") return kUuid;
  if (name == "ipv4") return kIpv4;
  if (name == "ipv6") return Ipv6();
  if (name == "uri") return UriParts().uri;
  if (name == "uri-reference") return "(" + UriParts().uri + "|" + UriParts().relative + ")";
  if (name == "duration") return kDuration;
  if (name == "json-pointer") return kJsonPointer;
  if (name == "relative-json-pointer") return "(0|[1-9]\\d*)(#|" + std::string(kJsonPointer) + ")";
  return "";
}

// RFC 1123 with at most 253 characters. Hyphens in places 3 and 4 are reserved for IDNA: its A-labels need more than an
// automaton to check, so none is allowed.
Result<DfaPtr> HostName(Budget& budget) {
  ASSIGN_OR_RETURN(DfaPtr any_label, CompileRegex(kLabel, RegexMode::kFullMatch, budget));
  ASSIGN_OR_RETURN(DfaPtr reserved, CompileRegex("..--.*", RegexMode::kFullMatch, budget));
  ASSIGN_OR_RETURN(DfaPtr label, SubtractDfa(*any_label, *reserved, budget));
  ExprPool pool;
  const ExprId more = pool.Sequence({pool.Chars(CharSet::Of('.')), pool.Automaton(label)});
  const ExprId all = pool.Sequence({pool.Automaton(label), pool.Repeat(more, 0, kUnboundedRepeat)});
  ASSIGN_OR_RETURN(DfaPtr dfa, BuildDfa(pool, all, nullptr, {}, budget));
  ASSIGN_OR_RETURN(DfaPtr length, LengthDfa(1, 253, budget));
  return IntersectDfa(*dfa, *length, budget);
}

// RFC 5321: a dot-string or a quoted string, then a host name or an address literal.
Result<DfaPtr> Email(Budget& budget) {
  const std::string atom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+";
  ASSIGN_OR_RETURN(DfaPtr local, CompileRegex("(" + atom + "(\\." + atom +
                                                  ")*|\"([\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E]|\\\\[\\x20-\\x7E])*\")@",
                                              RegexMode::kFullMatch, budget));
  ASSIGN_OR_RETURN(DfaPtr literal, CompileRegex("\\[(" + std::string(kIpv4) + "|IPv6:" + Ipv6() + ")\\]",
                                                RegexMode::kFullMatch, budget));
  const std::string label = std::string("(") + kLabel + ")";
  ASSIGN_OR_RETURN(DfaPtr domain, CompileRegex(label + "(\\." + label + ")*", RegexMode::kFullMatch, budget));
  ExprPool pool;
  const ExprId all =
      pool.Sequence({pool.Automaton(local), pool.Choice({pool.Automaton(domain), pool.Automaton(literal)})});
  return BuildDfa(pool, all, nullptr, {}, budget);
}

}  // namespace

std::vector<std::string_view> EnforcedFormats() {
  return {"date-time",
          "date",
          "time",
          "duration",
          "email",
          "hostname",
          "ipv4",
          "ipv6",
          "uuid",
          "uri",
          "uri-reference",
          "json-pointer",
          "relative-json-pointer",
          "regex"};
}

FormatSupport SupportOfFormat(std::string_view name) {
  for (std::string_view known : EnforcedFormats()) {
    if (name == known) return FormatSupport::kEnforced;
  }
  for (std::string_view other : {"idn-email", "idn-hostname", "iri", "iri-reference", "uri-template"}) {
    if (name == other) return FormatSupport::kUnsupported;
  }
  return FormatSupport::kAnnotation;
}

Result<DfaPtr> FormatCache::Language(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto it = known_.find(name); it != known_.end()) return it->second;
  // The formats are fixed: what they cost doesn't depend on any input, and is paid once.
  Budget budget({.max_steps = UINT64_MAX});
  auto dfa = name == "hostname" ? HostName(budget)
             : name == "email"  ? Email(budget)
             : name == "regex"  ? RegexFormat(budget)
                                : CompileRegex(RegexOf(name), RegexMode::kFullMatch, budget);
  // Year 0 exists in RFC 3339 but in few libraries that read dates.
  if (dfa.ok() && (name == "date" || name == "date-time")) {
    auto year_zero = CompileRegex("0000-[^\\n]*", RegexMode::kFullMatch, budget);
    if (!year_zero.ok()) return year_zero;
    dfa = SubtractDfa(**dfa, **year_zero, budget);
  }
  if (dfa.ok()) known_.emplace(name, *dfa);
  return dfa;
}

}  // namespace millrace::grammar
