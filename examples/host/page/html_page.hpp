#pragma once
// One HTML file that needs nothing beside itself: no script, no font, no image from elsewhere.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotsl::tool {

/// Text for an element or an attribute.
std::string escape(std::string_view text);

/// `digits` behind the point; "not a number" where it is none.
std::string format_number(double value, int digits);
/// The same without zeros at the end: "0.5", "20".
std::string format_tick(double value);
/// Three digits and the power of ten as people write it, in HTML: 4.52 x 10^9; below 10,000 as it
/// is.
std::string format_large(double value);

/// Base64 of RFC 4648.
std::string base64(std::span<const std::uint8_t> bytes);

/// A table cell: HTML that is already escaped.
using HtmlRow = std::vector<std::string>;

/// Collects the page from top to bottom.
class HtmlPage {
 public:
  explicit HtmlPage(std::string title) : title_(std::move(title)) {}

  /// `html` is put in as it is; everything else is escaped here.
  void add(std::string_view html) { body_ += html; }
  void heading(std::string_view text);
  void paragraph(std::string_view text);
  /// HTML, such as a chart, with a line below it.
  void figure(std::string_view html, std::string_view caption);
  /// A block to copy from.
  void code(std::string_view text);
  /// The first `text_columns` and the last `last_text_columns` are aligned to the left, the others,
  /// numbers, to the right. One of many columns is wider than the text around it.
  void table(const HtmlRow& head, const std::vector<HtmlRow>& rows, std::size_t text_columns = 1,
             std::size_t last_text_columns = 0);
  /// Names with their values, in columns.
  void pairs(const std::vector<std::pair<std::string, std::string>>& items);
  /// A PNG image, drawn with hard pixels at `scale` times its size, with a line below it.
  void image(std::span<const std::uint8_t> png, int width, int scale, std::string_view caption);

  std::string text() const;

 private:
  std::string title_, body_;
};

}  // namespace iotsl::tool
