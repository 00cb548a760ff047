#include "base/grow.h"

#include <stdlib.h>

enum { GROW_LEAST = 256 }; /* bytes */

bool mem_grow(void *owner, size_t *cap, size_t need, size_t size) {
    void **array = owner;
    if (need <= *cap)
        return true;
    size_t more = need < 2 * *cap ? 2 * *cap : need;
    if (more < GROW_LEAST / size)
        more = GROW_LEAST / size;
    void *grown = realloc(*array, more * size);
    if (!grown)
        return false;
    *array = grown;
    *cap = more;
    return true;
}
