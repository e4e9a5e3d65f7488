#include "host/page/svg_chart.hpp"

#include <algorithm>
#include <cmath>

#include "host/page/html_page.hpp"
#include "iotsl/core/error.hpp"

namespace iotsl::tool {
namespace {

// Of the drawing, in its own units; the page scales it.
constexpr double chart_width = 760, left = 64, right = 62, top = 34, bottom = 50;
constexpr double legend_row = 20;

/// Many lines run close to each other: they get more room.
double plot_height(const Chart& chart) { return chart.lines.size() > 6 ? 480 : 320; }

/// Maps data to the drawing.
struct Frame {
  double x_min, x_max, y_min, y_max;
  bool log_x = false;
  double height = 0;  // of the plot
  double x(double v) const {
    const double part =
        log_x ? std::log(v / x_min) / std::log(x_max / x_min) : (v - x_min) / (x_max - x_min);
    return left + part * (chart_width - left - right);
  }
  double y(double v) const {
    return top + (y_max - std::clamp(v, y_min, y_max)) / (y_max - y_min) * height;
  }
};

/// The points of a line that its axis has a place for.
std::vector<ChartPoint> drawn_points(const Chart& chart, const ChartLine& line) {
  std::vector<ChartPoint> out = line.points;
  if (chart.log_x) std::erase_if(out, [](const ChartPoint& p) { return !(p.x > 0); });
  return out;
}

Frame frame_of(const Chart& chart) {
  Frame out{0, 1, chart.y_min, chart.y_max, chart.log_x, plot_height(chart)};
  bool first = true;
  for (const ChartLine& line : chart.lines)
    for (const ChartPoint& p : drawn_points(chart, line)) {
      out.x_min = first ? p.x : std::min(out.x_min, p.x);
      out.x_max = first ? p.x : std::max(out.x_max, p.x);
      first = false;
    }
  if (chart.log_x) {
    // Where there is one point, or none, a decade about it.
    if (first) out.x_min = out.x_max = 1;
    out.x_min /= out.x_max > out.x_min ? 1.1 : 3;
    out.x_max *= 1.1;
    return out;
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

/// The shape of a line's points: six of them, filled, then the same six as outlines.
std::string point_shape(const LineStyle& style, double x, double y) {
  const std::size_t shapes = line_marks / 2;
  const std::string classes =
      concat("point c", style.colour, style.mark < shapes ? "" : " outline");
  const auto path = [&](std::initializer_list<std::pair<double, double>> steps) {
    std::string d;
    for (const auto& [dx, dy] : steps)
      d += concat(d.empty() ? "M" : "L", at(x + dx), " ", at(y + dy));
    return concat("<path d=\"", d, "Z\" class=\"", classes, "\"/>");
  };
  switch (style.mark % shapes) {
    case 0:
      return concat("<circle cx=\"", at(x), "\" cy=\"", at(y), "\" r=\"3.4\" class=\"", classes,
                    "\"/>");
    case 1:
      return path({{-3, -3}, {3, -3}, {3, 3}, {-3, 3}});
    case 2:
      return path({{0, -4}, {3.6, 3}, {-3.6, 3}});
    case 3:
      return path({{0, -4.2}, {4.2, 0}, {0, 4.2}, {-4.2, 0}});
    case 4:
      return path({{-3.6, -3}, {3.6, -3}, {0, 4}});
    default:
      return path({{-4, -2}, {4, -2}, {4, 2}, {-4, 2}});
  }
}

std::string draw_axes(const Chart& chart, const Frame& frame) {
  std::string out;
  const double base = top + frame.height, end = chart_width - right;
  const std::vector<double> rows = round_ticks(frame.y_min, frame.y_max, 6);
  for (const double tick : rows) {
    out += straight(left, frame.y(tick), end, frame.y(tick), "grid");
    out += text(left - 8, frame.y(tick) + 4, "tick end", format_tick(tick));
  }
  const std::vector<double> columns =
      frame.log_x ? log_ticks(frame.x_min, frame.x_max) : round_ticks(frame.x_min, frame.x_max, 10);
  for (const double tick : columns) {
    if (chart.whole_ticks && tick != std::floor(tick)) continue;
    out += straight(frame.x(tick), base, frame.x(tick), base + 5, "axis");
    out += text(frame.x(tick), base + 19, "tick middle", format_tick(tick));
  }
  out += straight(left, base, end, base, "axis");
  out += straight(left, top, left, base, "axis");
  out += text((left + end) / 2, base + 40, "label middle", chart.x_label);
  const double middle = top + frame.height / 2;
  out += text(18, middle, "label middle", chart.y_label,
              concat(" transform=\"rotate(-90 18 ", at(middle), ")\""));
  return out;
}

/// "line c3 d1"
std::string line_classes(const LineStyle& style) {
  return concat("line c", style.colour, style.dashes > 0 ? concat(" d", style.dashes) : "");
}

std::string draw_line(const std::vector<ChartPoint>& line, const LineStyle& style,
                      const Frame& frame) {
  std::string out, points, above, below, shapes;
  bool band = false;
  const std::size_t step = 1 + line.size() / 40;  // shapes must not run together
  for (std::size_t i = 0; i < line.size(); ++i) {
    const ChartPoint& p = line[i];
    const std::string x = at(frame.x(p.x));
    points += concat(x, ",", at(frame.y(p.y)), " ");
    above += concat(x, ",", at(frame.y(p.y + p.spread)), " ");
    below = concat(x, ",", at(frame.y(p.y - p.spread)), " ") + below;
    band = band || p.spread > 0;
    if (i % step == 0 || i + 1 == line.size())
      shapes += point_shape(style, frame.x(p.x), frame.y(p.y));
  }
  if (band)
    out += concat("<polygon points=\"", above, below, "\" class=\"band c", style.colour, "\"/>\n");
  out += concat("<polyline points=\"", points, "\" class=\"", line_classes(style), "\"/>\n", shapes,
                "\n");
  return out;
}

/// Rows of the legend: one line in each, two where there are many.
std::size_t legend_rows(std::size_t lines) { return lines > 6 ? (lines + 1) / 2 : lines; }

/// Below the plot.
std::string draw_legend(const Chart& chart, double top_row) {
  std::string out;
  const std::size_t rows = legend_rows(chart.lines.size());
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    const double x = left + (i < rows ? 0 : (chart_width - left - right) / 2);
    const double y = top_row + legend_row * static_cast<double>(i % rows);
    const LineStyle& style = chart.lines[i].style;
    out += concat("<polyline points=\"", at(x), ",", at(y), " ", at(x + 44), ",", at(y),
                  "\" class=\"", line_classes(style), "\"/>", point_shape(style, x + 22, y), "\n");
    out += text(x + 54, y + 4, "label", chart.lines[i].label);
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

std::vector<double> log_ticks(double low, double high) {
  const bool few = high / low < 300;
  std::vector<double> out;
  for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10)
    for (const double factor : {1.0, 2.0, 5.0})
      if ((few || factor == 1) && factor * power >= low && factor * power <= high)
        out.push_back(factor * power);
  return out;
}

std::string draw_chart(const Chart& chart) {
  for (const ChartLine& line : chart.lines)
    if (line.style.colour >= line_colours || line.style.dashes >= line_dashes ||
        line.style.mark >= line_marks)
      fail("draw_chart: ", line.label, " in colour ", line.style.colour, ", dashes ",
           line.style.dashes, ", mark ", line.style.mark, "; expected below ", line_colours, ", ",
           line_dashes, ", ", line_marks);
  const Frame frame = frame_of(chart);
  const double legend = top + frame.height + bottom + 14;
  const double height = legend + legend_row * static_cast<double>(legend_rows(chart.lines.size()));
  std::string out = concat("<svg viewBox=\"0 0 ", at(chart_width), " ", at(height),
                           "\" role=\"img\" aria-label=\"", escape(chart.title), "\">\n");
  out += text(left, 20, "heading", chart.title);
  out += draw_axes(chart, frame);
  for (const ChartMark& mark : chart.marks) {
    out += straight(left, frame.y(mark.y), chart_width - right, frame.y(mark.y), "mark");
    out += text(chart_width - right + 6, frame.y(mark.y) + 4, "tick", mark.label);
  }
  for (const ChartLine& line : chart.lines)
    out += draw_line(drawn_points(chart, line), line.style, frame);
  return out + draw_legend(chart, legend) + "</svg>\n";
}

}  // namespace iotsl::tool
