// The filters, tests, global functions and methods that templates can name. Each table is constant; a lookup that finds
// nothing returns null.
#pragma once

#include <span>
#include <string_view>

#include "chat/jinja/value.h"

namespace millrace::jinja {

const Builtin* FindFilter(std::string_view name);
const Builtin* FindTest(std::string_view name);
const Builtin* FindGlobal(std::string_view name);
// A method of str, dict, list, loop ... by the kind of its object.
const Builtin* FindMethod(const Value& object, std::string_view name);

// The tables, one per file.
std::span<const Builtin> TextFilters();       // filters_text.cc
std::span<const Builtin> SequenceFilters();   // filters_sequence.cc
std::span<const Builtin> SelectionFilters();  // filters_select.cc: map, select, reject, sort, groupby ...
std::span<const Builtin> NumberFilters();     // filters_number.cc
std::span<const Builtin> Tests();             // tests.cc
std::span<const Builtin> Globals();           // globals.cc
std::span<const Builtin> StringMethods();     // methods_string.cc
std::span<const Builtin> ContainerMethods(Kind kind, Flavor flavor);  // methods_container.cc

}  // namespace millrace::jinja
