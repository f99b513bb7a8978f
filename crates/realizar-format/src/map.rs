//! A whole file as bytes: mapped where that is possible, else read.
//!
//! The only room of this crate with `unsafe` in it.

use std::fs::{File, FileType, OpenOptions};
use std::io::Read;
use std::path::Path;

use bytes::Bytes;

use crate::error::{FormatError, Place, reserve};

/// How the bytes of a file come into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Map the file: nothing is copied, and pages are shared with other processes. Another process that shortens
    /// the file while it is in use takes pages away from under us: see [`guard_mappings`]. Where mapping is not
    /// available (feature `mmap` off, wasm32, some file systems), the file is read.
    Map,
    /// Read the file into memory. Nothing that happens to the file later can matter.
    Read,
}

/// What stands behind a path, opened once and examined by its handle, so that nothing can be exchanged in between.
pub(crate) enum Opened {
    File(File, u64),
    Folder,
}

/// Whether the last component of a path may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// Opens a path without waiting for it, whatever it is, and refuses everything but regular files and folders.
pub(crate) fn open(path: &Path, links: Links) -> Result<Opened, FormatError> {
    let fail = |source| FormatError::Io { action: "open", path: path.to_path_buf(), source };
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A FIFO without a writer would block here forever.
        let no_follow = if links == Links::Refuse { libc::O_NOFOLLOW } else { 0 };
        options.custom_flags(libc::O_NONBLOCK | no_follow);
    }
    #[cfg(not(unix))]
    let _ = links;
    let file = options.open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_file() {
        Ok(Opened::File(file, metadata.len()))
    } else if metadata.is_dir() {
        Ok(Opened::Folder)
    } else {
        Err(FormatError::NotAFile { path: path.to_path_buf(), found: kind(metadata.file_type()) })
    }
}

fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a FIFO";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    let _ = file_type;
    "a special file"
}

/// The bytes of the regular file at a path.
pub(crate) fn load_path(path: &Path, links: Links, access: Access) -> Result<Bytes, FormatError> {
    match open(path, links)? {
        Opened::File(file, len) => load(path, &file, len, access),
        Opened::Folder => Err(FormatError::NotAFile { path: path.to_path_buf(), found: "a folder" }),
    }
}

/// The bytes of an open file.
pub(crate) fn load(path: &Path, file: &File, len: u64, access: Access) -> Result<Bytes, FormatError> {
    let len = usize::try_from(len).map_err(|_| too_large(path, len))?;
    if len == 0 {
        return Ok(Bytes::new());
    }
    #[cfg(feature = "mmap")]
    if access == Access::Map
        && let Ok(bytes) = map(file, len)
    {
        return Ok(bytes);
    }
    // Not every file system can map; every one can read.
    let _ = access;
    let mut bytes = Vec::new();
    reserve(&mut bytes, len, || Place::new("file", 0)).map_err(|error| error.in_file(Some(path)))?;
    let read = file.take(len as u64).read_to_end(&mut bytes);
    read.map_err(|source| FormatError::Io { action: "read", path: path.to_path_buf(), source })?;
    Ok(bytes.into())
}

fn too_large(path: &Path, len: u64) -> FormatError {
    FormatError::Memory { at: Place::new("file", 0), bytes: len }.in_file(Some(path))
}

#[cfg(feature = "mmap")]
#[expect(unsafe_code, reason = "a mapping is outside the language's rules about who may change memory")]
fn map(file: &File, len: usize) -> std::io::Result<Bytes> {
    // SAFETY: the mapping is private and read-only, and only shared slices of it leave this crate. What the type
    // system cannot rule out is another process that writes to the file: then bytes change under us. No code here
    // or above relies on two reads giving the same bytes for memory safety: lengths and offsets are checked again
    // by each slice operation, and weights of any value are valid numbers. Truncation raises SIGBUS, which stops
    // the process and does not corrupt it; `guard_mappings` and `Access::Read` are the ways out.
    let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
    #[cfg(unix)]
    let map = guard::Guarded::new(map);
    Ok(Bytes::from_owner(map))
}

/// Keeps the process alive when a mapped file is shortened by somebody else: pages that are gone read as zeros, and
/// [`torn_pages`] counts them. Without this the system ends the process with SIGBUS.
///
/// This installs a signal handler, which is a decision of the whole program: the program's `main` calls it, no
/// library does. Signals that have nothing to do with our mappings go to whoever handled them before. Calling it
/// again does nothing; where files are not mapped it does nothing either.
///
/// # Errors
///
/// The system does not let the handler be installed.
pub fn guard_mappings() -> std::io::Result<()> {
    #[cfg(all(unix, feature = "mmap"))]
    guard::install()?;
    Ok(())
}

/// Lets go of the pages of a mapped file that hold `data`, such as the data of a tensor that was copied: they no longer
/// count as this process's memory, and are read again if somebody looks. For memory that is not a mapped file of this
/// crate nothing happens.
pub fn release_pages(data: &[u8]) {
    #[cfg(all(unix, feature = "mmap"))]
    guard::release(data);
    #[cfg(not(all(unix, feature = "mmap")))]
    let _ = data;
}

/// How many pages of mapped files had to be replaced by zeros since the program began. What was computed while the
/// number rose is worth nothing, and the models in use should be loaded again.
#[must_use]
pub fn torn_pages() -> u64 {
    #[cfg(all(unix, feature = "mmap"))]
    return guard::torn();
    #[cfg(not(all(unix, feature = "mmap")))]
    0
}

#[cfg(all(unix, feature = "mmap"))]
#[expect(unsafe_code, reason = "a signal handler, and pages put in place of those that are gone")]
mod guard {
    use std::ffi::{c_int, c_void};
    use std::io;
    use std::mem::MaybeUninit;
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

    /// A mapping that the handler knows while it exists.
    #[derive(Debug)]
    pub(super) struct Guarded {
        map: memmap2::Mmap,
        span: &'static Span,
    }

    /// An entry of the handler's list. Entries are reused and never freed, so that the handler may walk the list at
    /// any time. `start` is 0 while the entry is free.
    #[derive(Debug, Default)]
    struct Span {
        start: AtomicUsize,
        len: AtomicUsize,
        next: AtomicPtr<Span>,
    }

    /// A value of `start` that no mapping has: the entry is taken and not yet filled.
    const TAKEN: usize = usize::MAX;

    static SPANS: AtomicPtr<Span> = AtomicPtr::new(ptr::null_mut());
    static TORN: AtomicU64 = AtomicU64::new(0);
    static PAGE: AtomicUsize = AtomicUsize::new(4096);
    static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

    impl Guarded {
        pub(super) fn new(map: memmap2::Mmap) -> Self {
            let span = spans().find(|span| take(span)).unwrap_or_else(|| {
                let span: &'static Span = Box::leak(Box::default());
                span.start.store(TAKEN, Ordering::Relaxed);
                let mut head = SPANS.load(Ordering::Acquire);
                loop {
                    span.next.store(head, Ordering::Relaxed);
                    let new = ptr::from_ref(span).cast_mut();
                    match SPANS.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
                        Ok(_) => break span,
                        Err(now) => head = now,
                    }
                }
            });
            span.len.store(map.len(), Ordering::Relaxed);
            span.start.store(map.as_ptr().addr(), Ordering::Release);
            Self { map, span }
        }
    }

    impl AsRef<[u8]> for Guarded {
        fn as_ref(&self) -> &[u8] {
            &self.map
        }
    }

    impl Drop for Guarded {
        /// The entry is free before the pages are: fields are dropped after this.
        fn drop(&mut self) {
            self.span.start.store(0, Ordering::Release);
        }
    }

    fn take(span: &Span) -> bool {
        span.start.compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn spans() -> impl Iterator<Item = &'static Span> {
        let mut next = SPANS.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: the list holds null and pointers to leaked entries, and entries are never freed.
            let span: &'static Span = unsafe { next.as_ref() }?;
            next = span.next.load(Ordering::Acquire);
            Some(span)
        })
    }

    pub(super) fn torn() -> u64 {
        TORN.load(Ordering::Relaxed)
    }

    pub(super) fn install() -> io::Result<()> {
        static INSTALLED: OnceLock<i32> = OnceLock::new();
        match INSTALLED
            .get_or_init(|| set_handler().map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0))
        {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(*error)),
        }
    }

    fn set_handler() -> io::Result<()> {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(usize::try_from(page).map_err(io::Error::other)?, Ordering::Relaxed);
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all zeros is a valid `sigaction`: no flags, no handler. It is filled before it is used.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = on_fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: reads the current action into `previous`, and changes nothing.
        if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), previous.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above succeeded and filled it; besides, all zeros would be valid.
        let previous = unsafe { previous.assume_init() };
        PREVIOUS.store(Box::leak(Box::new(previous)), Ordering::Release);
        // SAFETY: `action` is filled, and the handler does only what a handler may: see there.
        if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Runs on the thread that met a missing page, in the middle of its read. It uses atomics and system calls only:
    /// no lock, no allocation, no panic.
    extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
        // SAFETY: the system passes a valid pointer to a handler with SA_SIGINFO.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
        // A code above zero is the kernel's own: the address is that of a fault.
        if code > 0 && replace_page(address) {
            TORN.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Not ours. The handler before us, or the default, gets it: a fault by running into it again, a signal that
        // somebody sent by being sent again.
        // SAFETY: `PREVIOUS` was stored before the handler was installed and is never freed; both calls are among
        // those that a handler may make.
        unsafe {
            libc::sigaction(signal, PREVIOUS.load(Ordering::Acquire), ptr::null_mut());
            if code <= 0 {
                libc::raise(signal);
            }
        }
    }

    /// Gives back the whole pages inside `data`, if it lies in a mapping of ours.
    pub(super) fn release(data: &[u8]) {
        static PAGES: OnceLock<usize> = OnceLock::new();
        // SAFETY: asks for a number.
        let page = *PAGES
            .get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096));
        let (start, end) = (data.as_ptr().addr(), data.as_ptr().addr().saturating_add(data.len()));
        let from = start.checked_next_multiple_of(page).unwrap_or(end);
        let to = end & !page.wrapping_sub(1);
        if from >= to || !is_mapped(start, data.len()) {
            return;
        }
        let pages = data.as_ptr().wrapping_add(from.saturating_sub(start));
        // SAFETY: the pages lie inside a mapping of ours, which exists as long as `data` is borrowed from it. It is
        // private, read-only and never written to, so that what is read next comes from the file again, unchanged.
        unsafe { libc::madvise(pages.cast_mut().cast(), to.saturating_sub(from), libc::MADV_DONTNEED) };
    }

    /// Whether all of this memory belongs to one mapping of ours.
    fn is_mapped(address: usize, len: usize) -> bool {
        spans().any(|span| {
            let start = span.start.load(Ordering::Acquire);
            let offset = address.checked_sub(start).filter(|_| start != 0);
            offset
                .and_then(|offset| offset.checked_add(len))
                .is_some_and(|end| end <= span.len.load(Ordering::Relaxed))
        })
    }

    /// Puts a page of zeros where a page of one of our mappings is gone.
    fn replace_page(address: usize) -> bool {
        let page = PAGE.load(Ordering::Relaxed);
        if !is_mapped(address, 1) {
            return false;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let start = ptr::without_provenance_mut(address & !page.wrapping_sub(1));
        // SAFETY: the page belongs to a mapping of ours that exists, since a thread is reading it right now; nothing
        // but that mapping is replaced. Readers see zeros, which are as valid as any bytes.
        let replaced = unsafe { libc::mmap(start, page, libc::PROT_READ, flags, -1, 0) };
        replaced != libc::MAP_FAILED
    }
}
