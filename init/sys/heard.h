/* heard.h — is a socket's file somebody's who lives, or was it left behind? */
#ifndef SYS_HEARD_H
#define SYS_HEARD_H

#include <stdbool.h>

/* Does a process that lives, and is not this one, listen on the unix stream socket at `path`? No is
 * said at once, yes after 80 ms. */
bool socket_is_heard(const char *path);

#endif
