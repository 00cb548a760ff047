#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/own.h"
#include "tests/unit/tap.h"

/* ASan's allocator ends the program otherwise. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

int main(void) {
    AUTO_FREE uint32_t *numbers = NULL;
    AUTO_FREE char *none = NULL;
    size_t cap = 0, copies = 0, wrong = 0;
    OK(mem_grow(&none, &cap, 0, 1) && !none && cap == 0, "room for nothing is there");
    for (uint32_t i = 0; i < 100000; i++) {
        size_t before = cap;
        wrong += !mem_grow(&numbers, &cap, i + 1, sizeof *numbers) || cap <= i;
        numbers[i] = i;
        copies += cap != before;
    }
    for (uint32_t i = 0; i < 100000; i++)
        wrong += numbers[i] != i;
    OK(wrong == 0 && copies < 20, "one by one: %zu wrong, %zu copies", wrong, copies);
    size_t before = cap;
    const uint32_t *there = numbers;
    OK(mem_grow(&numbers, &cap, 5, sizeof *numbers) && cap == before && numbers == there,
       "it does not shrink");
    OK(mem_grow(&numbers, &cap, 3 * cap, sizeof *numbers) && cap == 3 * before,
       "all that is wanted at once");
    before = cap;
    there = numbers;
    OK(!mem_grow(&numbers, &cap, SIZE_MAX / 8, sizeof *numbers) && cap == before &&
           numbers == there && numbers[99999] == 99999,
       "without memory all stays as it is");
    return tap_end();
}
