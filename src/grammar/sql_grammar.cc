#include "grammar/sql_grammar.h"

#include <string_view>

namespace millrace::grammar {
namespace {

// Words in back-quotes are keywords; _ is white space, and __ optional white space.
constexpr std::string_view kTemplate = R"g(
root ::= __ statement __ ";"?
statement ::= query | insert | update | delete
query ::= (`WITH` _ cte (__ "," __ cte)* _)? select-core ((_ (`UNION` (_ `ALL`)? | `INTERSECT` | `EXCEPT`) _) select-core)* order? limit?
cte ::= name _ `AS` __ "(" __ query __ ")"
select-core ::= `SELECT` _ ((`DISTINCT` | `ALL`) _)? column (__ "," __ column)* (_ `FROM` _ source (__ "," __ source)* join*)? where? group?
column ::= "*" | name ".*" | expr ((_ `AS`)? _ alias)?
source ::= (name ("." name)? | "(" __ query __ ")") ((_ `AS`)? _ alias)?
join ::= _ ((`INNER` | (`LEFT` | `RIGHT` | `FULL`) (_ `OUTER`)? | `CROSS`) _)? `JOIN` _ source (_ `ON` _ expr | _ `USING` __ "(" __ name (__ "," __ name)* __ ")")?
where ::= _ `WHERE` _ expr
group ::= _ `GROUP` _ `BY` _ expr (__ "," __ expr)* (_ `HAVING` _ expr)?
order ::= _ `ORDER` _ `BY` _ term (__ "," __ term)*
term ::= expr (_ (`ASC` | `DESC`))? (_ `NULLS` _ (`FIRST` | `LAST`))?
limit ::= _ `LIMIT` _ [0-9]+ (_ `OFFSET` _ [0-9]+)?
insert ::= `INSERT` _ `INTO` _ name ("." name)? (__ "(" __ name (__ "," __ name)* __ ")")? _ (`VALUES` __ row (__ "," __ row)* | query)
row ::= "(" __ expr (__ "," __ expr)* __ ")"
update ::= `UPDATE` _ name ("." name)? _ `SET` _ assignment (__ "," __ assignment)* where?
assignment ::= name __ "=" __ expr
delete ::= `DELETE` _ `FROM` _ name ("." name)? where?
expr ::= conjunction (_ `OR` _ conjunction)*
conjunction ::= negation (_ `AND` _ negation)*
negation ::= (`NOT` _)* comparison
comparison ::= sum (__ ("=" | "<>" | "!=" | "<=" | ">=" | "<" | ">") __ sum | _ `IS` _ (`NOT` _)? `NULL` | _ (`NOT` _)? (`LIKE` _ sum | `BETWEEN` _ sum _ `AND` _ sum | `IN` __ "(" __ (query | expr (__ "," __ expr)*) __ ")"))?
sum ::= product (__ ("+" | "-" | "||") __ product)*
product ::= atom (__ [*/%] __ atom)*
atom ::= number | string | `NULL` | `TRUE` | `FALSE` | call | name ("." name){0,2} | "-" atom | "(" __ (expr | query) __ ")" | `EXISTS` __ "(" __ query __ ")" | case
call ::= name "(" __ ("*" | (`DISTINCT` _)? expr (__ "," __ expr)*)? __ ")"
case ::= `CASE` (_ `WHEN` _ expr _ `THEN` _ expr)+ (_ `ELSE` _ expr)? _ `END`
number ::= [0-9]+ ("." [0-9]+)? ([eE] [+-]? [0-9]+)?
string ::= "'" ([^'] | "''")* "'"
alias ::= name
name ::= [a-zA-Z_] [a-zA-Z0-9_]* | "\"" [^"]+ "\""
)g";

}  // namespace

std::string SqlGrammar() {
  std::string out;
  for (size_t i = 0; i < kTemplate.size(); ++i) {
    const char c = kTemplate[i];
    const bool alone = i > 0 && (kTemplate[i - 1] == ' ' || kTemplate[i - 1] == '(');
    if (c == '`') {
      for (++i; kTemplate[i] != '`'; ++i) {
        const char upper = kTemplate[i];
        out += std::string("[") + upper + static_cast<char>(upper | 0x20) + "] ";
      }
    } else if (alone && kTemplate.substr(i, 3) == "__ ") {
      out += "[ \\t\\n]* ";
      i += 2;
    } else if (alone && c == '_' && (kTemplate[i + 1] == ' ' || kTemplate[i + 1] == ')')) {
      out += "[ \\t\\n]+";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace millrace::grammar
