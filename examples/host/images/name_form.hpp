#pragma once
// File names in one form of Unicode.

#include <string>

namespace iotsl::tool {

/// A name in form NFC: what Linux keeps and what macOS makes of it become the same bytes. As it is
/// in a build without utf8proc.
std::string name_form(const std::string& name);

}  // namespace iotsl::tool
