#pragma once
// All rows. An operation is added to one of these lists, and to nothing else here.

#include "cases/conv_cases.hpp"
#include "cases/elementwise_cases.hpp"
#include "cases/gan_cases.hpp"
#include "cases/matrix_cases.hpp"
#include "cases/norm_cases.hpp"
#include "cases/pool_cases.hpp"
#include "cases/reduce_cases.hpp"
#include "cases/view_cases.hpp"

namespace cases {

inline OpCases all_rows() {
  OpCases all;
  for (const OpCases& rows :
       {conv_rows(), pool_rows(), norm_rows(), function_rows(), arithmetic_rows(), loss_rows(),
        matrix_rows(), reduce_rows(), view_rows(), gan_rows()})
    all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

}  // namespace cases
