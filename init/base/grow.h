/* grow.h — arrays on the heap that grow. */
#ifndef BASE_GROW_H
#define BASE_GROW_H

#include <stdbool.h>
#include <stddef.h>

/* Make room for `need` elements of `size` bytes in the array that *owner points to, which has room
 * for *cap, or is NULL and 0: twice as much at least, so that n elements one by one cost n copies.
 * False: there is no memory, and nothing has changed. `need` is bounded by the caller. */
bool mem_grow(void *owner, size_t *cap, size_t need, size_t size);

#endif
