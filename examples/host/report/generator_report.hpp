#pragma once
// What a person is shown of a generator.

#include "iotsl/generators/generator_file.hpp"

namespace iotsl::tool {

/// The classes that the generator was trained on, ascending.
std::vector<Index> trained_classes(const generators::GeneratorCard& card);

/// What a label means to the people who read a table.
std::string class_name(const generators::GeneratorCard& card, Index label);

/// The card with the numbers and operations of the generator.
Json generator_json(const generators::GeneratorFile& file);

/// The same as text: model, settings, label histogram with the quality of each class, memorisation,
/// privacy.
void print_generator(const std::string& path, const generators::GeneratorFile& file);

}  // namespace iotsl::tool
