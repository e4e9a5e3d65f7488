#include "iotsl/core/text.hpp"

#include <doctest/doctest.h>

using namespace iotsl;

TEST_CASE("text: names of all scripts are printable, what moves a cursor or turns text is not") {
  for (const char* good : {"", "pi-01", "Wohnzimmer süd", "живой", "温度計 3", "🍓"})
    CHECK_MESSAGE(is_printable(good), good);
  for (const char* bad : {"\x1b[2J", "a\nb", "a\rb", "a\tb", "\x7f",
                          "\xc2\x9b"
                          "2J",
                          "\x9b"
                          "2J",
                          "a\xe2\x80\xae"
                          "b",
                          "a\xe2\x80\xa8"
                          "b",
                          "\xe2\x81\xa6", "\xc3", "\xed\xa0\x80"})
    CHECK_FALSE_MESSAGE(is_printable(bad), make_printable(bad));
  CHECK_FALSE(is_printable(std::string_view("a\0b", 3)));
}

TEST_CASE("text: made printable it keeps what can be read") {
  CHECK(make_printable("\x1b[31mred\x1b[0m") == "?[31mred?[0m");
  CHECK(make_printable("süd\xc2\x9b") == "süd??");
  CHECK(make_printable("one\ntwo\r") == "one?two?");
  CHECK(make_printable("one\ntwo\r", true) == "one\ntwo?");
  CHECK(is_printable(make_printable("\xff\xfe\x80\x00\x1b")));
}
