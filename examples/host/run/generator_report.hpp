#pragma once
// What a person is shown of a generator.

#include "iotsl/gan/generator_file.hpp"

namespace iotsl::tool {

/// The classes that the generator was trained on, ascending.
std::vector<Index> trained_classes(const gan::GeneratorCard& card);

/// What a label means to the people who read a table.
std::string class_name(const gan::GeneratorCard& card, Index label);

/// The card with parameters and operations of the model.
Json generator_json(const gan::GeneratorCard& card);

/// The same as text: model, settings, label histogram with the quality of each class, memorisation,
/// privacy.
void print_generator(const std::string& path, const gan::GeneratorCard& card);

}  // namespace iotsl::tool
