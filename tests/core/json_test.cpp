#include "iotsl/core/json/json.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "iotsl/core/json/fields.hpp"
#include "iotsl/core/random.hpp"

using iotsl::Json;
using iotsl::parse_json;
using iotsl::to_text;

namespace {
std::string parse_error(std::string_view text, iotsl::JsonLimits limits = {}) {
  const auto parsed = parse_json(text, limits);
  return parsed ? "no error" : parsed.failure().message;
}
}  // namespace

TEST_CASE("json: values of every type are read") {
  const auto parsed = parse_json(
      R"( {"a": [1, -2.5, 1e3, true, false, null], "b": {"c": "x\n\u00e9\ud83d\ude00/\/"}, "d": []} )");
  REQUIRE(parsed.ok());
  const Json& j = *parsed;
  const iotsl::JsonArray& a = j.find("a")->as_array();
  REQUIRE(a.size() == 6);
  CHECK(a[0].as_int() == 1);
  CHECK(a[1].as_double() == -2.5);
  CHECK_FALSE(a[1].is_int());
  CHECK(a[2].as_int() == 1000);
  CHECK(a[3].as_bool());
  CHECK_FALSE(a[4].as_bool());
  CHECK(a[5].is_null());
  CHECK(j.find("b")->find("c")->as_string() == "x\n\xC3\xA9\xF0\x9F\x98\x80//");
  CHECK(j.find("d")->size() == 0);
  CHECK(j.find("none") == nullptr);
}

TEST_CASE("json: integers are exact up to 64 bits, larger ones become doubles") {
  CHECK(parse_json("9223372036854775807")->as_int() == INT64_MAX);
  CHECK(parse_json("-9223372036854775808")->as_int() == INT64_MIN);
  CHECK(parse_json("9007199254740993")->as_int() == 9007199254740993);
  CHECK_FALSE(parse_json("9223372036854775808")->is_int());
  CHECK(parse_json("9223372036854775808")->as_double() == 9223372036854775808.0);
  CHECK(to_text(*parse_json("-0")) == "-0.0");
  CHECK(Json(std::uint64_t{7}).as_int() == 7);
  CHECK_THROWS_WITH_AS(Json(UINT64_MAX),
                       "json: integer 18446744073709551615 does not fit 64 bits with sign",
                       iotsl::Error);
}

TEST_CASE("json: what the grammar forbids is refused with its offset") {
  const std::pair<const char*, const char*> cases[] = {
      {"", "json: byte 0: text ends where a value is expected"},
      {"[1,]", "json: byte 3: not a value"},
      {"[1 2]", "json: byte 3: expected ',' or ']'"},
      {"[1}", "json: byte 2: expected ',' or ']'"},
      {"{\"a\":1,}", "json: byte 7: expected a key in quotes"},
      {"{a:1}", "json: byte 1: expected a key in quotes"},
      {"{\"a\" 1}", "json: byte 5: expected ':' after the key"},
      {"{\"a\":1,\"b\":2,\"a\":3}", "json: byte 13: key 'a' appears twice"},
      {"\"\\x\"", "json: byte 1: bad escape"},
      {"\"\\u12g4\"", "json: byte 1: \\u needs four hexadecimal digits"},
      {"\"\\u12\"", "json: byte 1: \\u needs four hexadecimal digits"},
      {"\"\\ud800\"", "json: byte 1: high surrogate without a low one"},
      {"\"\\ud800\\u0041\"", "json: byte 1: high surrogate without a low one"},
      {"\"\\udc00\"", "json: byte 1: low surrogate without a high one"},
      {"\"a\nb\"", "json: byte 2: control character in a string"},
      {"\"abc", "json: byte 4: text ends inside a string"},
      {"\"\xC0\xAF\"", "json: byte 1: invalid UTF-8"},
      {"\"\xED\xA0\x80\"", "json: byte 1: invalid UTF-8"},
      {"\"\xE2\x82\"", "json: byte 1: invalid UTF-8"},
      {"01", "json: byte 0: number with a leading zero"},
      {"+1", "json: byte 0: not a value"},
      {"-", "json: byte 0: not a value"},
      {"1.", "json: byte 0: number without digits after the point"},
      {".5", "json: byte 0: not a value"},
      {"1e", "json: byte 0: number without digits in the exponent"},
      {"1e999", "json: byte 0: number beyond the range of a double"},
      {"NaN", "json: byte 0: not a value"},
      {"tru", "json: byte 0: not a value"},
      {"1 1", "json: byte 2: text goes on after the value"},
      {"// no\n1", "json: byte 0: not a value"},
  };
  for (const auto& [text, message] : cases) CHECK(parse_error(text) == message);
  CHECK(parse_error(std::string_view("\"\\\0\"", 4)) == "json: byte 1: bad escape");
}

TEST_CASE("json: limits bound depth, values and size") {
  const std::string deep = std::string(100000, '[');
  CHECK(parse_error(deep) == "json: byte 64: nested deeper than 64");
  CHECK(parse_json("[[[]]]", {.max_depth = 3}).ok());
  CHECK(parse_error("[[[[]]]]", {.max_depth = 3}) == "json: byte 3: nested deeper than 3");
  CHECK(parse_error("[1,2,3]", {.max_values = 3}) == "json: byte 5: more than 3 values");
  CHECK(parse_error("[1,2,3]", {.max_bytes = 6}) == "json: byte 6: text has 7 bytes, limit is 6");
}

TEST_CASE("json: text is deterministic and reads back to the same value") {
  Json j = Json::object();
  j["name"] = "a\"\\\x01\t";
  j["seed"] = 7;
  j["rate"] = 0.1;
  j["one"] = 1.0;
  j["tiny"] = 5e-324;
  j["lost"] = std::numeric_limits<double>::quiet_NaN();
  j["list"] = Json::array_of(std::vector<int>{1, 2, 3});
  j["empty"] = Json::object();
  j["nested"].push_back(Json::array_of(std::vector<int>{4}));
  const std::string text = to_text(j);
  CHECK(text ==
        R"({"name":"a\"\\\u0001\t","seed":7,"rate":0.1,"one":1.0,"tiny":5e-324,"lost":null,)"
        R"("list":[1,2,3],"empty":{},"nested":[[4]]})");
  CHECK(to_text(*parse_json(text)) == text);
  const std::string pretty = to_text(j, 2);
  CHECK(*parse_json(pretty) == *parse_json(text));
  CHECK(pretty.find("\n  \"list\": [1, 2, 3],\n") != std::string::npos);
  CHECK(to_text(Json("\xFFz")) == "\"\xEF\xBF\xBDz\"");
}

TEST_CASE("json: every double survives the round trip") {
  const iotsl::Random random(1, iotsl::Stream::user);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const double v =
        std::bit_cast<double>((std::uint64_t{random.bits(2 * i)} << 32) | random.bits(2 * i + 1));
    if (!std::isfinite(v)) continue;
    const auto back = parse_json(to_text(Json(v)));
    REQUIRE(back.ok());
    CHECK(std::bit_cast<std::uint64_t>(back->as_double()) == std::bit_cast<std::uint64_t>(v));
  }
}

TEST_CASE("json: typed members name the key in their failures") {
  const Json j = *parse_json(R"({"n": 3, "x": 0.5, "s": "t", "b": true, "a": [], "o": {}})");
  CHECK(*iotsl::get_int(j, "n") == 3);
  CHECK(*iotsl::get_string(j, "s") == "t");
  CHECK(*iotsl::get_bool(j, "b"));
  CHECK((*iotsl::get_array(j, "a"))->empty());
  CHECK((*iotsl::get_object(j, "o"))->is_object());
  CHECK(iotsl::get_int(j, "m").failure().message == "key 'm' is missing");
  CHECK(iotsl::get_int(j, "x").failure().message == "key 'x' must be an integer, found number");
  CHECK(iotsl::get_int(j, "n", 4, 9).failure().message == "key 'n' is 3, expected 4 to 9");
  CHECK(iotsl::get_string(j, "n").failure().message == "key 'n' must be a string, found integer");
  const auto shown = iotsl::parse_json(R"({"s": "\u001b[2J"})");
  CHECK(iotsl::get_string(*shown, "s").failure().message ==
        "key 's' has a control character in its text");
  CHECK(iotsl::get_array(j, "o").failure().message == "key 'o' must be an array, found object");
  CHECK(iotsl::get_bool(Json(1), "b").failure().message ==
        "expected an object with key 'b', found integer");
}

TEST_CASE("json: a value is copied and moved whole, whatever its type and that of the other") {
  const char* texts[] = {"null",
                         "true",
                         "7",
                         "-0.5",
                         R"("a text that no string holds inline")",
                         R"([1,[2,"x"]])",
                         R"({"a":{"b":[null]},"c":1})"};
  for (const char* from : texts)
    for (const char* to : texts) {
      Json value = *parse_json(from), other = *parse_json(to);
      CHECK((value == other) == (from == to));
      other = value;
      CHECK(to_text(other) == from);
      CHECK(other == value);
      other = *parse_json(to);
      CHECK(to_text(value) == from);
      other = std::move(value);
      CHECK(to_text(other) == from);
      value = *parse_json(to);
      CHECK(to_text(value) == to);
      const Json& same = value;
      value = same;
      CHECK(to_text(value) == to);
    }
  Json nested = *parse_json(R"({"a":{"b":[1,2]}})");
  nested = *nested.find("a");
  CHECK(to_text(nested) == R"({"b":[1,2]})");
  nested["self"] = nested;
  CHECK(to_text(nested) == R"({"b":[1,2],"self":{"b":[1,2]}})");
}

TEST_CASE("json: damaged text never crashes the reader") {
  const std::string good =
      R"({"a":[1,-2.5e-3,"\u00e9\ud83d\ude00",{"b":null,"c":[true,false]}],"d":"\\\"x"})";
  const iotsl::Random random(2, iotsl::Stream::user);
  int accepted = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    std::string text = good;
    text[static_cast<std::size_t>(random.below(3 * i, text.size()))] ^=
        static_cast<char>(1u << random.below(3 * i + 1, 8));
    if (i % 3 == 0) text.resize(static_cast<std::size_t>(random.below(3 * i + 2, text.size())));
    const auto parsed = parse_json(text);
    if (!parsed) continue;
    ++accepted;
    CHECK(*parse_json(to_text(*parsed)) == *parsed);
  }
  CHECK(accepted > 100);
  CHECK(accepted < 20000);
}

namespace {
struct Grown {
  int old_one = 1, later_one = 2;
  template <class Self, class Fields>
  static void json_fields(Self& self, Fields& f) {
    f("old", self.old_one);
    f.later("later", self.later_one);
  }
};
}  // namespace

TEST_CASE("json fields: a later member may be missing, and is not wrong where it is there") {
  CHECK(to_text(iotsl::to_json_fields(Grown{})) == R"({"old":1,"later":2})");
  const auto read = [](const char* text) {
    return iotsl::parse_json_fields<Grown>(parse_json(text).value());
  };
  CHECK(read(R"({"old":7})")->later_one == 2);
  CHECK(read(R"({"old":7,"later":9})")->later_one == 9);
  CHECK(read(R"({"later":9})").failure().message == "key 'old' is missing");
  CHECK(read(R"({"old":7,"later":"x"})").failure().message.find("'later'") != std::string::npos);
  CHECK_FALSE(read("3").ok());
}
