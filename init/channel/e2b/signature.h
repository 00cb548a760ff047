/* signature.h — addresses of files that may be used by whoever has them: signed by one who knows
 * the access token. PURE.
 */
#ifndef CHANNEL_E2B_SIGNATURE_H
#define CHANNEL_E2B_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct signed_file {
    const char *path;      /* as the query has it, decoded; "" */
    const char *operation; /* "read" or "write" */
    const char *user;      /* as the query has it; "" */
    bool expires;
    int64_t expiry; /* unix time, s */
};

enum { SIGNATURE_TEXT = 3 + 43 + 1 };

/* "v1_" and the base 64, without padding, of SHA-256("path:operation:user:token[:expiry]"). */
void signature_make(char out[SIGNATURE_TEXT], const struct signed_file *f, const char *token);

/* NULL: `given` (NULL: there is none) is its signature, and it has not expired at `now`, in s of
 * unix time. Else what is wrong with it, in the words that clients know. How long this takes says
 * nothing of what would be right. */
const char *signature_fault(const char *given, const struct signed_file *f, const char *token,
                            int64_t now);

#endif
