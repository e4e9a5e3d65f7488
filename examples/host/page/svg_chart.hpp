#pragma once
// Line charts as SVG text for a page of html_page.hpp, whose style sheet holds the colours.

#include <string>
#include <vector>

namespace iotsl::tool {

/// A point of a line; `spread` > 0 draws a band of that height above and below it.
struct ChartPoint {
  double x = 0, y = 0, spread = 0;
};

/// How a line looks: each number below the count of its kind.
struct LineStyle {
  std::size_t colour = 0;  ///< of the page's style sheet
  std::size_t dashes = 0;  ///< 0: none
  std::size_t mark = 0;    ///< shape of the points
};
inline constexpr std::size_t line_colours = 13, line_dashes = 6, line_marks = 12;

struct ChartLine {
  std::string label;
  std::vector<ChartPoint> points = {};  ///< x ascending
  LineStyle style = {};
};

/// A horizontal line with its name, a short one, beside the plot: such as an accuracy to be
/// reached.
struct ChartMark {
  std::string label;
  double y = 0;
};

struct Chart {
  std::string title;
  std::string x_label, y_label;
  std::vector<ChartLine> lines = {};
  std::vector<ChartMark> marks = {};
  double y_min = 0, y_max = 100;
  bool whole_ticks = true;  ///< of x, such as epochs, of which half a one is nothing
  bool log_x = false;       ///< points at 0 and below are left out
};

/// Ticks at round numbers (1, 2 or 5 times a power of ten) that cover [low, high]: about `wanted`
/// of them, all inside.
std::vector<double> round_ticks(double low, double high, int wanted);

/// Ticks of a logarithmic axis inside of [low, high], low > 0: powers of ten, with two and five
/// times them where there are few.
std::vector<double> log_ticks(double low, double high);

/// The chart as one <svg> element, as wide as its place.
std::string draw_chart(const Chart& chart);

}  // namespace iotsl::tool
