#include "host/page/svg_chart.hpp"

#include <algorithm>
#include <cmath>

#include "host/page/html_page.hpp"
#include "iotsl/core/error.hpp"

namespace iotsl::tool {
namespace {

// Of the drawing, in its own units; the page scales it.
constexpr double chart_width = 760, plot_height = 320, left = 64, right = 24, top = 34, bottom = 50;
constexpr double legend_row = 20;

/// Maps data to the drawing.
struct Frame {
  double x_min, x_max, y_min, y_max;
  double x(double v) const {
    return left + (v - x_min) / (x_max - x_min) * (chart_width - left - right);
  }
  double y(double v) const {
    return top + (y_max - std::clamp(v, y_min, y_max)) / (y_max - y_min) * plot_height;
  }
};

Frame frame_of(const Chart& chart) {
  Frame out{0, 1, chart.y_min, chart.y_max};
  bool first = true;
  for (const ChartLine& line : chart.lines)
    for (const ChartPoint& p : line.points) {
      out.x_min = first ? p.x : std::min(out.x_min, p.x);
      out.x_max = first ? p.x : std::max(out.x_max, p.x);
      first = false;
    }
  out.x_min = std::min(out.x_min, 0.0);
  if (out.x_max <= out.x_min) out.x_max = out.x_min + 1;
  return out;
}

/// A coordinate with one digit behind the point.
std::string at(double v) { return format_number(v, 1); }

std::string text(double x, double y, const char* classes, const std::string& content,
                 const std::string& more = "") {
  return concat("<text x=\"", at(x), "\" y=\"", at(y), "\" class=\"", classes, "\"", more, ">",
                escape(content), "</text>\n");
}

std::string straight(double x1, double y1, double x2, double y2, const char* classes) {
  return concat("<line x1=\"", at(x1), "\" y1=\"", at(y1), "\" x2=\"", at(x2), "\" y2=\"", at(y2),
                "\" class=\"", classes, "\"/>\n");
}

/// The shape of a line's points: circle, square, triangle, diamond, cross, plus.
std::string point_shape(std::size_t line, double x, double y) {
  const auto path = [&](std::initializer_list<std::pair<double, double>> steps, bool closed) {
    std::string d;
    for (const auto& [dx, dy] : steps)
      d += concat(d.empty() ? "M" : "L", at(x + dx), " ", at(y + dy));
    return concat("<path d=\"", d, closed ? "Z" : "", "\" class=\"point c", line, "\"/>");
  };
  switch (line) {
    case 0:
      return concat("<circle cx=\"", at(x), "\" cy=\"", at(y), "\" r=\"3.2\" class=\"point c0\"/>");
    case 1:
      return path({{-3, -3}, {3, -3}, {3, 3}, {-3, 3}}, true);
    case 2:
      return path({{0, -4}, {3.6, 3}, {-3.6, 3}}, true);
    case 3:
      return path({{0, -4.2}, {4.2, 0}, {0, 4.2}, {-4.2, 0}}, true);
    case 4:
      return path({{-3.6, -3}, {3.6, -3}, {0, 4}}, true);
    default:
      return path({{-4, -2}, {4, -2}, {4, 2}, {-4, 2}}, true);
  }
}

std::string draw_axes(const Chart& chart, const Frame& frame) {
  std::string out;
  const double base = top + plot_height, end = chart_width - right;
  const std::vector<double> rows = round_ticks(frame.y_min, frame.y_max, 6);
  for (const double tick : rows) {
    out += straight(left, frame.y(tick), end, frame.y(tick), "grid");
    out += text(left - 8, frame.y(tick) + 4, "tick end", format_tick(tick));
  }
  for (const double tick : round_ticks(frame.x_min, frame.x_max, 10)) {
    if (chart.whole_ticks && tick != std::floor(tick)) continue;
    out += straight(frame.x(tick), base, frame.x(tick), base + 5, "axis");
    out += text(frame.x(tick), base + 19, "tick middle", format_tick(tick));
  }
  out += straight(left, base, end, base, "axis");
  out += straight(left, top, left, base, "axis");
  out += text((left + end) / 2, base + 40, "label middle", chart.x_label);
  const double middle = top + plot_height / 2;
  out += text(18, middle, "label middle", chart.y_label,
              concat(" transform=\"rotate(-90 18 ", at(middle), ")\""));
  return out;
}

std::string draw_line(const ChartLine& line, std::size_t number, const Frame& frame) {
  std::string out, points, above, below, shapes;
  bool band = false;
  const std::size_t step = 1 + line.points.size() / 40;  // shapes must not run together
  for (std::size_t i = 0; i < line.points.size(); ++i) {
    const ChartPoint& p = line.points[i];
    const std::string x = at(frame.x(p.x));
    points += concat(x, ",", at(frame.y(p.y)), " ");
    above += concat(x, ",", at(frame.y(p.y + p.spread)), " ");
    below = concat(x, ",", at(frame.y(p.y - p.spread)), " ") + below;
    band = band || p.spread > 0;
    if (i % step == 0 || i + 1 == line.points.size())
      shapes += point_shape(number, frame.x(p.x), frame.y(p.y));
  }
  if (band)
    out += concat("<polygon points=\"", above, below, "\" class=\"band c", number, "\"/>\n");
  out += concat("<polyline points=\"", points, "\" class=\"line c", number, "\"/>\n", shapes, "\n");
  return out;
}

std::size_t style_of(const Chart& chart, std::size_t line) {
  return chart.lines[line].style.value_or(line);
}

/// One row per line, below the plot.
std::string draw_legend(const Chart& chart, double y) {
  std::string out;
  for (std::size_t i = 0; i < chart.lines.size(); ++i, y += legend_row) {
    out += concat("<polyline points=\"", at(left), ",", at(y), " ", at(left + 44), ",", at(y),
                  "\" class=\"line c", style_of(chart, i), "\"/>",
                  point_shape(style_of(chart, i), left + 22, y), "\n");
    out += text(left + 54, y + 4, "label", chart.lines[i].label);
  }
  return out;
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int wanted) {
  const double raw = (high - low) / std::max(1, wanted);
  if (!(raw > 0)) return {low};
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * power;
    if (step >= raw * 0.999) break;
  }
  std::vector<double> out;
  for (double tick = std::ceil(low / step - 1e-9); tick * step <= high + 1e-9 * step; ++tick)
    out.push_back(tick * step);
  return out;
}

std::string draw_chart(const Chart& chart) {
  if (chart.lines.size() > max_chart_lines)
    fail("draw_chart: ", chart.lines.size(), " lines, at most ", max_chart_lines,
         " can be told apart");
  const Frame frame = frame_of(chart);
  const double legend = top + plot_height + bottom + 14;
  const double height = legend + legend_row * static_cast<double>(chart.lines.size());
  std::string out = concat("<svg viewBox=\"0 0 ", at(chart_width), " ", at(height),
                           "\" role=\"img\" aria-label=\"", escape(chart.title), "\">\n");
  out += text(left, 20, "heading", chart.title);
  out += draw_axes(chart, frame);
  for (const ChartMark& mark : chart.marks) {
    out += straight(left, frame.y(mark.y), chart_width - right, frame.y(mark.y), "mark");
    out += text(left + 6, frame.y(mark.y) - 5, "tick", mark.label);  // lines begin low
  }
  for (std::size_t i = 0; i < chart.lines.size(); ++i)
    out += draw_line(chart.lines[i], style_of(chart, i), frame);
  return out + draw_legend(chart, legend) + "</svg>\n";
}

}  // namespace iotsl::tool
