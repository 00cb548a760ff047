/* status.h — the words beside a status. PURE. */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

/* The reason phrase of a status that pinnace sends (RFC 9110 15, RFC 6585, RFC 4918); "" for
 * another one, which is a valid reason as well. */
const char *http_reason(int status);

#endif
