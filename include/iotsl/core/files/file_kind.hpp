#pragma once
// Files of another kind than expected, known by how they begin: what a download, a checkout or a
// converter leaves in place of the right one.

#include <cstdio>
#include <string>

#include "iotsl/core/bytes.hpp"

IOTSL_NAMESPACE_BEGIN

/// What a file is that begins with these bytes (the first 12 are enough), as the end of a sentence
/// that begins with "is"; empty where it is of no kind that is known here.
inline std::string_view foreign_kind(ByteSpan bytes) {
  struct Kind {
    std::string_view begins, is;
  };
  constexpr std::string_view page = "a web page; a download has gone wrong";
  constexpr std::string_view pickle = "a Python pickle";
  constexpr Kind kinds[] = {
      {"<!DO", page},
      {"<!do", page},
      {"<htm", page},
      {"<HTM", page},
      {"<?xm", "an XML file"},
      {"vers", "a Git LFS pointer; git lfs pull fetches the file itself"},
      {"PK\3\4", "a zip archive; unpack it"},
      {"\x1F\x8B", "packed with gzip; unpack it with gunzip"},
      {"7z\xBC\xAF", "a 7z archive; unpack it"},
      {"\x89PNG", "a PNG image"},
      {"\xFF\xD8\xFF", "a JPEG image"},
      {"GIF8", "a GIF image"},
      {std::string_view("II*\0", 4), "a TIFF image"},
      {std::string_view("MM\0*", 4), "a TIFF image"},
      {"BM", "a BMP image"},
      {"8BPS", "a Photoshop file"},
      {"<svg", "an SVG drawing"},
      {"\xFF\x0A", "a JPEG XL image"},
      {std::string_view("\0\0\0\x0CJXL ", 8), "a JPEG XL image"},
      {std::string_view("\0\0\0\x0CjP  ", 8), "a JPEG 2000 image"},
      {"%PDF", "a PDF file"},
      {"\x80\2", pickle},
      {"\x80\3", pickle},
      {"\x80\4", pickle},
      {"\x80\5", pickle},
      {"iotsl\r\n\x1A", "a file of iotsl (a generator, a barrier, a state), not weights alone"},
  };
  const std::string_view text = text_of(bytes);
  for (const Kind& kind : kinds)
    if (text.starts_with(kind.begins)) return kind.is;
  const auto at = [text](std::size_t i) { return text.size() < i + 4 ? "" : text.substr(i, 4); };
  if (at(0) == "RIFF") return at(8) == "WEBP" ? "a WebP image" : "a sound or a film (RIFF)";
  // ISO base media: the size of the first box, then its name, then the brand.
  if (at(4) != "ftyp") return {};
  if (at(8).starts_with("avi")) return "an AVIF image";
  for (const std::string_view heif : {"heic", "heix", "heim", "heis", "hevc", "mif1", "msf1"})
    if (at(8) == heif) return "a HEIC image";
  return "a film";
}

/// The first bytes of a file, as many as foreign_kind() needs; none where it cannot be read.
inline std::string read_beginning(const std::string& path) {
  std::string out(16, '\0');
  std::FILE* file = std::fopen(path.c_str(), "rb");
  out.resize(file == nullptr ? 0 : std::fread(out.data(), 1, out.size(), file));
  if (file != nullptr) std::fclose(file);
  return out;
}

IOTSL_NAMESPACE_END
