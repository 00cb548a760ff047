/* show.h — what tables are made of. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <stdint.h>

/* Control bytes of others' names become '?': a terminal would obey them. In place. */
char *text_safe(char *s);

/* "512B", "45.2M": bytes with a binary unit, in buf, which it returns. */
enum { BYTES_TEXT = 32 };
const char *format_bytes(char buf[BYTES_TEXT], uint64_t n);

#endif
