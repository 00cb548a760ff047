/* private.h — what the files of this folder share: bytes and pieces. PURE. */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include "http/head.h"

bool http_is_tchar(char c); /* of a token (RFC 9110 5.6.2) */
bool http_is_text(char c);  /* of a field's value: no control character but the tab */
int http_hex(char c);       /* 0..15, or -1 */

/* Take *piece, what is before the first `c`, off *rest, and the `c` too. False when there is
 * none: then *piece is all of it, and *rest is empty. rest->s is not NULL. */
bool http_take_until(struct slice *rest, char c, struct slice *piece);

#endif
