#include "host/page/html_page.hpp"

#include <cmath>
#include <cstdio>

#include "iotsl/core/error.hpp"
#include "iotsl/core/text.hpp"

namespace iotsl::tool {
namespace {

// After the colours of Okabe and Ito (2008), made for eyes that confuse red and green; lighter or
// darker where the background asks for it, and with shades of the same for methods that are akin.
constexpr std::string_view style_sheet = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --paper: #fff;
  --c0: #4a5159; --c1: #d55e00; --c2: #8f3d00; --c3: #0072b2; --c4: #4aa3df; --c5: #7a52b3;
  --c6: #b0588f; --c7: #00805f; --c8: #6bab3f; --c9: #12a3a8; --c10: #1d3f94; --c11: #b58900;
  --c12: #8b949e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --rule: #3a424c;
  --paper: #14181d; --c0: #c3cad2; --c1: #ff8a3d; --c2: #c9743a; --c3: #56b4e9; --c4: #9fd3f2;
  --c5: #b79be6; --c6: #e39bc8; --c7: #2fc79b; --c8: #a5d97f; --c9: #5fd6da; --c10: #7f9ff0;
  --c11: #f0c94a; --c12: #79828c; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; } .wide { width: min(95vw, 92rem); position: relative; left: 50%;
  transform: translateX(-50%); font-size: .88rem; }
.wide td.text:first-child { white-space: nowrap; } .wide td.text:last-child { min-width: 10rem; }
.wide td, .wide th { padding-right: .5rem; } sup { line-height: 0; } p, li { max-width: 48rem; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--rule); padding: .3rem .8rem .3rem 0; text-align: right;
  vertical-align: top; }
td { white-space: nowrap; }
th.text, td.text { text-align: left; white-space: normal; }
th { color: var(--soft); font-weight: 600; }
pre { border: 1px solid var(--rule); border-radius: 6px; padding: .7rem .9rem; overflow-x: auto; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); font-size: .9rem; }
.pairs { columns: 15rem; column-rule: 1px solid var(--rule); max-width: none; padding: 0;
  list-style: none; }
.pairs li { display: flex; justify-content: space-between; gap: 1rem; }
.pairs span { color: var(--soft); }
img { image-rendering: pixelated; max-width: 100%; }
svg { width: 100%; max-width: 52rem; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .tick { fill: var(--soft); font-size: 12px; }
svg .heading { font-weight: 600; font-size: 15px; }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .axis { stroke: var(--soft); }
svg .mark { stroke: var(--soft); stroke-dasharray: 5 4; }
svg .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
svg .point { fill: currentColor; stroke: none; }
svg .outline { fill: var(--paper); stroke: currentColor; stroke-width: 1.5; }
svg .band { fill: currentColor; stroke: none; opacity: .14; }
svg .d1 { stroke-dasharray: 7 3; } svg .d2 { stroke-dasharray: 2 3; }
svg .d3 { stroke-dasharray: 10 3 2 3; } svg .d4 { stroke-dasharray: 4 2; }
svg .d5 { stroke-dasharray: 12 4; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .5em;
  background: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.c6 { color: var(--c6); } .c7 { color: var(--c7); } .c8 { color: var(--c8); }
.c9 { color: var(--c9); } .c10 { color: var(--c10); } .c11 { color: var(--c11); }
.c12 { color: var(--c12); }
)";

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : make_printable(text, true)) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out.push_back(c);
    }
  return out;
}

std::string format_number(double value, int digits) {
  if (!std::isfinite(value)) return "not a number";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string format_tick(double value) {
  std::string out = format_number(value + 0.0, 3);  // no minus at zero
  while (out.back() == '0') out.pop_back();
  if (out.back() == '.') out.pop_back();
  return out;
}

std::string format_large(double value) {
  if (std::abs(value) < 1e4) return format_tick(value);
  int power = static_cast<int>(std::floor(std::log10(std::abs(value))));
  double mantissa = value / std::pow(10, power);
  if (std::abs(mantissa) >= 9.995) mantissa /= 10, ++power;
  return concat(format_number(mantissa, 2), " &times; 10<sup>", power, "</sup>");
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      out.push_back(j <= count ? letters[group >> (18 - 6 * j) & 63] : '=');
  }
  return out;
}

void HtmlPage::heading(std::string_view text) { body_ += concat("<h2>", escape(text), "</h2>\n"); }

void HtmlPage::paragraph(std::string_view text) { body_ += concat("<p>", escape(text), "</p>\n"); }

void HtmlPage::figure(std::string_view html, std::string_view caption) {
  body_ += concat("<figure>", html, "<figcaption>", escape(caption), "</figcaption></figure>\n");
}

void HtmlPage::code(std::string_view text) {
  body_ += concat("<pre><code>", escape(text), "</code></pre>\n");
}

void HtmlPage::table(const HtmlRow& head, const std::vector<HtmlRow>& rows,
                     std::size_t text_columns, std::size_t last_text_columns) {
  const auto add_row = [&](const HtmlRow& row, const char* cell) {
    body_ += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool text = i < text_columns || i + last_text_columns >= row.size();
      body_ += concat("<", cell, text ? " class=\"text\">" : ">", row[i], "</", cell, ">");
    }
    body_ += "</tr>\n";
  };
  body_ +=
      head.size() > 9 ? "<div class=\"scroll wide\"><table>\n" : "<div class=\"scroll\"><table>\n";
  add_row(head, "th");
  for (const HtmlRow& row : rows) add_row(row, "td");
  body_ += "</table></div>\n";
}

void HtmlPage::pairs(const std::vector<std::pair<std::string, std::string>>& items) {
  body_ += "<ul class=\"pairs\">\n";
  for (const auto& [name, value] : items)
    body_ += concat("<li><span>", escape(name), "</span> ", escape(value), "</li>\n");
  body_ += "</ul>\n";
}

void HtmlPage::image(std::span<const std::uint8_t> png, int width, int scale,
                     std::string_view caption) {
  figure(concat("<img width=\"", width * scale, "\" alt=\"", escape(caption),
                "\" src=\"data:image/png;base64,", base64(png), "\">"),
         caption);
}

std::string HtmlPage::text() const {
  return concat(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
      escape(title_), "</title>\n<style>", style_sheet, "</style>\n</head>\n<body>\n<h1>", escape(title_),
      "</h1>\n", body_, "</body>\n</html>\n");
}

}  // namespace iotsl::tool
