/* output.h — what a command prints, collected: in memory as far as that is little, then in a file
 * without a name. NUL bytes are left out.
 */
#ifndef CHANNEL_CLOUDFLARE_OUTPUT_H
#define CHANNEL_CLOUDFLARE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CF_OUTPUT_MEMORY = 128 << 10 }; /* bytes of one stream in memory; more are in a file */

/* All zero but `file`: nothing has been printed. */
struct cf_output {
    char *mem; /* all of it, while there is no file; owned */
    size_t cap;
    int file;      /* all of it; -1: none; owned */
    uint64_t size; /* bytes */
    char last;     /* of them */
    int failed;    /* errno of what could not be kept; what came after is not there */
};
#define CF_OUTPUT_EMPTY ((struct cf_output){ .file = -1 })

void cf_output_put(struct cf_output *o, const char *bytes, size_t n);
/* Take a newline off its end. */
void cf_output_trim(struct cf_output *o);
/* Bytes at `at` into buf: how many; 0 at its end, or when they cannot be read. */
size_t cf_output_read(const struct cf_output *o, uint64_t at, char *buf, size_t cap);
void cf_output_free(struct cf_output *o); /* it is empty then */

#endif
