#pragma once
// Line charts as SVG text for a page of html_page.hpp, whose style sheet holds the colours.

#include <optional>
#include <string>
#include <vector>

namespace iotsl::tool {

/// A point of a line; `spread` > 0 draws a band of that height above and below it.
struct ChartPoint {
  double x = 0, y = 0, spread = 0;
};

struct ChartLine {
  std::string label;
  std::vector<ChartPoint> points = {};  ///< x ascending
  /// Colour, dashes and points, below max_chart_lines; nothing: those of its place in the chart.
  std::optional<std::size_t> style = {};
};

/// A horizontal line with its name, such as an accuracy to be reached.
struct ChartMark {
  std::string label;
  double y = 0;
};

struct Chart {
  std::string title;
  std::string x_label, y_label;
  std::vector<ChartLine> lines = {};  ///< told apart by colour, dashes and the shape of the points
  std::vector<ChartMark> marks = {};
  double y_min = 0, y_max = 100;
  bool whole_ticks = true;  ///< of x, such as epochs, of which half a one is nothing
};

/// How many lines a chart can tell apart.
inline constexpr std::size_t max_chart_lines = 6;

/// Ticks at round numbers (1, 2 or 5 times a power of ten) that cover [low, high]: about `wanted`
/// of them, all inside.
std::vector<double> round_ticks(double low, double high, int wanted);

/// The chart as one <svg> element, as wide as its place.
std::string draw_chart(const Chart& chart);

}  // namespace iotsl::tool
