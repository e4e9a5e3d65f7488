// Who may not have heard the end of the run.

#include "iotsl/split/server/farewells.hpp"

#include <doctest/doctest.h>

using namespace iotsl;
using namespace iotsl::split;

TEST_CASE("farewells: nobody is waited for who has closed the connection in order") {
  Farewells farewells(0);
  CHECK(farewells.done(0));
  farewells.on_told(1, "pi-1");
  farewells.on_told(2, "pi-2");
  CHECK_FALSE(farewells.done(0));
  farewells.on_lost(1, false);
  farewells.on_lost(7, true);  // of nobody who was told
  CHECK_FALSE(farewells.done(0));
  farewells.on_lost(2, false);
  CHECK(farewells.done(0));
}

TEST_CASE("farewells: a device whose connection broke is waited for, but not for ever") {
  Farewells farewells(1000);
  farewells.on_told(1, "pi-1");
  farewells.on_lost(1, true);
  farewells.on_away("pi-2");
  CHECK_FALSE(farewells.done(1000));
  farewells.on_told(3, "pi-1");
  farewells.on_told(4, "pi-2");
  farewells.on_lost(3, false);
  CHECK_FALSE(farewells.done(1000));
  farewells.on_lost(4, true);
  CHECK_FALSE(farewells.done(999 + Farewells::patience));
  CHECK(farewells.done(1000 + Farewells::patience));
}
