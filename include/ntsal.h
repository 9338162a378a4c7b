/*
 * ntsal.h - the annotation words of the driver documents.
 *
 * Source annotations say how a parameter is used, at which IRQL a routine may be called and which
 * lock it needs. No compiler we use checks the parameter and IRQL words, so they expand to nothing
 * and serve the reader. The three lock words are checked by clang's -Wthread-safety when
 * NTMM_THREAD_SAFETY is defined. Put lock words after the parameter list: ahead of it clang cannot
 * see the parameters.
 */
#ifndef NTMM_NTSAL_H
#define NTMM_NTSAL_H

/* Locks. A structure that is a lock carries _Lock_type_ between `struct` and its tag. */
#if defined(NTMM_THREAD_SAFETY) && defined(__clang__)
#define _Lock_type_(name)            __attribute__((capability(name)))
#define _Requires_lock_held_(l)      __attribute__((requires_capability(l)))
#define _Requires_shared_lock_held_(l) __attribute__((requires_shared_capability(l)))
#define _Requires_lock_not_held_(l)  __attribute__((locks_excluded(l)))
#define _Acquires_lock_(l)           __attribute__((acquire_capability(l)))
#define _Acquires_shared_lock_(l)    __attribute__((acquire_shared_capability(l)))
#define _Acquires_exclusive_lock_(l) __attribute__((acquire_capability(l)))
#define _Releases_lock_(l)           __attribute__((release_capability(l)))
#define _Releases_shared_lock_(l)    __attribute__((release_shared_capability(l)))
#define _Releases_exclusive_lock_(l) __attribute__((release_capability(l)))
#define _Try_acquires_lock_(ok, l)   __attribute__((try_acquire_capability(ok, l)))
#define _Guarded_by_(l)              __attribute__((guarded_by(l)))
#define _No_lock_check_              __attribute__((no_thread_safety_analysis))
#else
#define _Lock_type_(name)
#define _Requires_lock_held_(l)
#define _Requires_shared_lock_held_(l)
#define _Requires_lock_not_held_(l)
#define _Acquires_lock_(l)
#define _Acquires_shared_lock_(l)
#define _Acquires_exclusive_lock_(l)
#define _Releases_lock_(l)
#define _Releases_shared_lock_(l)
#define _Releases_exclusive_lock_(l)
#define _Try_acquires_lock_(ok, l)
#define _Guarded_by_(l)
#define _No_lock_check_
#endif
#define _Has_lock_kind_(k)
#define _Has_lock_level_(l)
#define _Create_lock_level_(l)
#define _Lock_level_order_(a, b)
#define _Requires_no_locks_held_
#define _Acquires_nonreentrant_lock_(l)
#define _Releases_nonreentrant_lock_(l)
#define _Interlocked_
#define _Interlocked_operand_
#define _Write_guarded_by_(l)

/* Parameters. */
#define _In_
#define _In_opt_
#define _In_z_
#define _In_opt_z_
#define _In_reads_(n)
#define _In_reads_opt_(n)
#define _In_reads_z_(n)
#define _In_reads_opt_z_(n)
#define _In_reads_bytes_(n)
#define _In_reads_bytes_opt_(n)
#define _In_reads_to_ptr_(p)
#define _In_range_(a, b)
#define _In_bound_
#define _In_function_class_(c)
#define _Inout_
#define _Inout_opt_
#define _Inout_z_
#define _Inout_updates_(n)
#define _Inout_updates_opt_(n)
#define _Inout_updates_z_(n)
#define _Inout_updates_to_(n, c)
#define _Inout_updates_bytes_(n)
#define _Inout_updates_bytes_opt_(n)
#define _Inout_updates_bytes_to_(n, c)
#define _Inout_updates_bytes_to_opt_(n, c)
#define _Inout_updates_all_(n)
#define _Inout_updates_all_opt_(n)
#define _Inout_updates_bytes_all_(n)
#define _Out_
#define _Out_opt_
#define _Out_range_(a, b)
#define _Out_writes_(n)
#define _Out_writes_opt_(n)
#define _Out_writes_z_(n)
#define _Out_writes_to_(n, c)
#define _Out_writes_to_opt_(n, c)
#define _Out_writes_all_(n)
#define _Out_writes_all_opt_(n)
#define _Out_writes_bytes_(n)
#define _Out_writes_bytes_opt_(n)
#define _Out_writes_bytes_to_(n, c)
#define _Out_writes_bytes_to_opt_(n, c)
#define _Out_writes_bytes_all_(n)
#define _Out_writes_bytes_all_opt_(n)
#define _Outptr_
#define _Outptr_opt_
#define _Outptr_result_maybenull_
#define _Outptr_opt_result_maybenull_
#define _Outptr_result_nullonfailure_
#define _Outptr_result_bytebuffer_(n)
#define _Outptr_result_buffer_(n)
#define _Outref_
#define _COM_Outptr_
#define _Reserved_
#define _Const_
#define _Printf_format_string_
#define _Points_to_data_
#define _Literal_
#define _Notliteral_
#define _Null_terminated_
#define _NullNull_terminated_
#define _Notnull_
#define _Maybenull_
#define _Maybe_null_
#define _Maybenull_ret_
#define _Field_size_(n)
#define _Field_size_opt_(n)
#define _Field_size_full_(n)
#define _Field_size_part_(n, c)
#define _Field_size_bytes_(n)
#define _Field_size_bytes_opt_(n)
#define _Field_size_bytes_full_(n)
#define _Field_size_bytes_part_(n, c)
#define _Field_size_bytes_part_opt_(n, c)
#define _Field_range_(a, b)
#define _Field_z_
#define _Struct_size_bytes_(n)
#define _Readable_bytes_(n)
#define _Readable_elements_(n)
#define _Writable_bytes_(n)
#define _Writable_elements_(n)
#define _Pre_
#define _Pre_valid_
#define _Pre_invalid_
#define _Pre_notnull_
#define _Pre_maybenull_
#define _Pre_null_
#define _Pre_satisfies_(e)
#define _Pre_opt_valid_
#define _Pre_writable_size_(n)
#define _Pre_writable_byte_size_(n)
#define _Pre_readable_size_(n)
#define _Pre_readable_byte_size_(n)
#define _Post_
#define _Post_valid_
#define _Post_invalid_
#define _Post_notnull_
#define _Post_maybenull_
#define _Post_null_
#define _Post_ptr_invalid_
#define _Post_satisfies_(e)
#define _Post_equal_to_(e)
#define _Post_writable_size_(n)
#define _Post_writable_byte_size_(n)
#define _Post_readable_byte_size_(n)
#define _Prepost_z_
#define _Deref_out_
#define _Deref_out_opt_
#define _Deref_pre_maybenull_
#define _Deref_post_maybenull_
#define _Deref_out_range_(a, b)
#define _Deref_inout_range_(a, b)

/* Results and conditions. */
#define _Must_inspect_result_
#define _Check_return_
#define _Check_return_opt_
#define _Success_(e)
#define _Return_type_success_(e)
#define _On_failure_(a)
#define _Always_(a)
#define _Ret_
#define _Ret_z_
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Ret_null_
#define _Ret_valid_
#define _Ret_range_(a, b)
#define _Ret_writes_(n)
#define _Ret_writes_bytes_(n)
#define _Ret_writes_maybenull_(n)
#define _Ret_writes_bytes_maybenull_(n)
#define _Ret_writes_bytes_to_maybenull_(n, c)
#define _Result_nullonfailure_
#define _Result_zeroonfailure_
#define _When_(e, a)
#define _At_(t, a)
#define _At_buffer_(t, i, n, a)
#define _Group_(a)
#define _Analysis_assume_(e)
#define _Analysis_noreturn_
#define _Analysis_assume_lock_held_(l)
#define _Analysis_assume_lock_acquired_(l)
#define _Analysis_assume_lock_released_(l)
#define _Use_decl_annotations_
#define _Function_class_(c)
#define _Called_from_function_class_(c)
#define _Strict_type_match_
#define _Enum_is_bitflag_
#define _Raises_SEH_exception_
#define _Maybe_raises_SEH_exception_
#define _IsBlockDevice_

/* IRQL: documents; PAGED_CODE or an assertion checks. */
#define _IRQL_requires_(i)
#define _IRQL_requires_max_(i)
#define _IRQL_requires_min_(i)
#define _IRQL_requires_same_
#define _IRQL_always_function_max_(i)
#define _IRQL_always_function_min_(i)
#define _IRQL_raises_(i)
#define _IRQL_saves_
#define _IRQL_saves_global_(k, p)
#define _IRQL_restores_
#define _IRQL_restores_global_(k, p)
#define _IRQL_uses_cancel_
#define _IRQL_is_cancel_
#define _IRQL_limited_to_(i)

/* Driver rules. */
#define __drv_aliasesMem
#define __drv_allocatesMem(k)
#define __drv_freesMem(k)
#define __drv_acquiresResource(k)
#define __drv_releasesResource(k)
#define __drv_dispatchType(t)
#define __drv_dispatchType_other
#define __drv_sameIRQL
#define __drv_maxIRQL(i)
#define __drv_requiresIRQL(i)
#define __drv_functionClass(c)
#define __drv_strictType(t, m)
#define __drv_strictTypeMatch(m)
#define __drv_preferredFunction(f, w)
#define __drv_when(e, a)
#define __drv_reportError(s)
#define __drv_inTry
#define __drv_arg(a, b)
#define __drv_valueIs(l)
#define _Dispatch_type_(t)
#define _Kernel_clear_do_init_(y)
#define _Kernel_acquires_resource_(k)
#define _Kernel_releases_resource_(k)
#define _Kernel_requires_resource_held_(k)
#define _Kernel_requires_resource_not_held_(k)
#define _Kernel_float_saved_
#define _Kernel_float_restored_
#define _Kernel_float_used_
#define _Kernel_entry_
#define _Kernel_IoGetDmaAdapter_

#endif
