/*
 * Protection as programs name it (PAGE_*) and as entries keep it (the five-bit code): exactly one base value
 * and at most one modifier. Pure. Documents: "Memory Protection Constants".
 */
#include "va.h"

#define MI_PAGE_BASES     0xFFu
#define MI_PAGE_MODIFIERS (PAGE_GUARD | PAGE_NOCACHE | PAGE_WRITECOMBINE)

/* By code: the rights that each base bit gives, in order of the bits. */
static const UCHAR MipRightsOfBase[8] = {MM_ZERO_ACCESS, MM_READONLY,     MM_READWRITE,         MM_WRITECOPY,
                                         MM_EXECUTE,     MM_EXECUTE_READ, MM_EXECUTE_READWRITE, MM_EXECUTE_WRITECOPY};
static const ULONG MipBaseOfRights[8] = {0,
                                         PAGE_READONLY,
                                         PAGE_EXECUTE,
                                         PAGE_EXECUTE_READ,
                                         PAGE_READWRITE,
                                         PAGE_WRITECOPY,
                                         PAGE_EXECUTE_READWRITE,
                                         PAGE_EXECUTE_WRITECOPY};

BOOLEAN
MiProtectionFromPage(ULONG Protect, MI_PROTECTION *Protection)
{
    ULONG Base = Protect & MI_PAGE_BASES;
    ULONG Modifier = Protect & MI_PAGE_MODIFIERS;

    if (Base == 0 || (Base & (Base - 1)) != 0 || (Protect & ~(MI_PAGE_BASES | MI_PAGE_MODIFIERS)) != 0) {
        return FALSE;
    }
    if ((Modifier & (Modifier - 1)) != 0) {
        return FALSE;
    }
    if (Base == PAGE_NOACCESS) {
        *Protection = MM_NOACCESS;
        return Modifier == 0;
    }
    *Protection = MipRightsOfBase[__builtin_ctz(Base)];
    switch (Modifier) {
    case PAGE_GUARD:
        *Protection |= MM_GUARD_PAGE;
        break;
    case PAGE_NOCACHE:
        *Protection |= MM_NOCACHE;
        break;
    case PAGE_WRITECOMBINE:
        *Protection |= MM_WRITECOMBINE;
        break;
    default:
        break;
    }
    return TRUE;
}

ULONG
MiPageFromProtection(MI_PROTECTION Protection)
{
    ULONG Base = MipBaseOfRights[Protection & MM_RIGHTS_MASK];

    if (Protection == MM_NOACCESS) {
        return PAGE_NOACCESS;
    }
    if (Base == 0) {
        return 0;
    }
    switch (Protection & MM_MODIFIER_MASK) {
    case MM_GUARD_PAGE:
        return Base | PAGE_GUARD;
    case MM_NOCACHE:
        return Base | PAGE_NOCACHE;
    case MM_WRITECOMBINE:
        return Base | PAGE_WRITECOMBINE;
    default:
        return Base;
    }
}

MI_PROTECTION
MiRegionProtection(const MMVAD *Vad, MI_PROTECTION Protection)
{
    if (MiProtectionIsNoAccess(Protection) || MiProtectionIsGuard(Protection)) {
        return Protection;
    }
    return (Protection & MM_RIGHTS_MASK) | Vad->CacheModifier;
}
