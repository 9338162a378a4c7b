/*
 * The security cookie: an image whose load configuration names one gets a value that nobody can guess.
 */
#include "check.h"

#define DEFAULT_COOKIE 0x00002B992DDFA232ull

ULONG64 __security_cookie = DEFAULT_COOKIE;

/* IMAGE_LOAD_CONFIG_DIRECTORY64 up to the handler count; the linker finds it by its name. */
const ULONG64 _load_config_used[14] = {[0] = 14 * 8, [11] = (ULONG64)&__security_cookie};

static VOID
Test(VOID)
{
    ULONG64 Cookie = *(volatile ULONG64 *)&__security_cookie;

#ifdef __clang__
    CHECK(Cookie != DEFAULT_COOKIE);
    CHECK_EQ(Cookie >> 48, 0);
    CHECK(Cookie != 0);
#else
    /* ld makes no load configuration directory: nobody may touch the variable. */
    CHECK_EQ(Cookie, DEFAULT_COOKIE);
#endif
}

CHECK_DRIVER
