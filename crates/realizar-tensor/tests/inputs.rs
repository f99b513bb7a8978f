//! What is refused, and how it is said.

#![allow(clippy::expect_used, clippy::allow_attributes, reason = "a failure panics")]

mod kit;

use bytes::Bytes;
use kit::{Random, compute, empty, rows_of};
use realizar_quant::DType;
use realizar_tensor::{
    BlockId, Compute, Isa, KV_BLOCK, Kernels, KvShape, KvStore, KvType, Pool, QMatrix, Rows, Slot,
    TensorError, Vector, Way,
};

#[test]
fn matrices_are_checked() {
    let cases = [
        ("no rows", DType::F32, 0, 4, 0, "a matrix of 0 rows and 4 columns has no elements"),
        ("no columns", DType::F32, 4, 0, 0, "a matrix of 4 rows and 0 columns has no elements"),
        (
            "part of a block",
            DType::Q4_K,
            1,
            100,
            0,
            "Q4_K rows of 100 columns: not a whole number of 256-element blocks",
        ),
        ("too short", DType::F16, 2, 4, 15, "F16 matrix [2, 4] needs 16 bytes, 15 given"),
        ("too long", DType::F16, 2, 4, 17, "F16 matrix [2, 4] needs 16 bytes, 17 given"),
        ("overflow", DType::F32, usize::MAX, 4, 16, "needs more bytes than an address can tell, 16 given"),
        ("a head before all rows", DType::APR_Q8, 2, 4, 16, "APR_Q8 rows of 4 columns"),
        ("a padded tail", DType::APR_Q4, 2, 4, 36, "APR_Q4 rows of 4 columns"),
    ];
    for (name, dtype, rows, cols, len, message) in cases {
        match QMatrix::new(dtype, rows, cols, Bytes::from(vec![0; len])) {
            Ok(_) => panic!("{name} was taken"),
            Err(error) => assert!(error.to_string().contains(message), "{name}: {error}"),
        }
    }
}

#[test]
fn types_without_a_decoder_are_refused() {
    for dtype in DType::ALL {
        let Some(bytes) = dtype.row_bytes(dtype.block_elems()) else { continue };
        let values = Vector::from_bytes(dtype, &vec![0; bytes]);
        let matrix = QMatrix::new(dtype, 1, dtype.block_elems(), vec![0; bytes].into());
        if let (Err(TensorError::Decode { .. }), other) = (&values, &matrix) {
            assert!(other.is_err(), "{dtype}");
        }
    }
}

#[test]
fn slices_stay_inside() {
    let weight = Random::new(1).matrix(DType::F32, 4, 2);
    assert_eq!((weight.rows(), weight.cols(), weight.dtype(), weight.byte_len()), (4, 2, DType::F32, 32));
    #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
    for range in [0..5, 2..2, 3..1] {
        let error = weight.slice_rows(range.clone()).expect_err("out of range");
        assert!(error.to_string().contains("of a matrix with 4 rows"), "{range:?}: {error}");
    }
}

#[test]
fn vectors_are_decoded_whole() {
    let vector = Vector::from_bytes(DType::F16, &[0x00, 0x3c, 0x00, 0xc0]).expect("two values");
    assert_eq!((vector.as_slice(), vector.len(), vector.is_empty()), (&[1.0, -2.0][..], 2, false));
    assert!(Vector::from_vec(Vec::new()).is_empty());
    let error = Vector::from_bytes(DType::F32, &[0; 6]).expect_err("half a value");
    assert_eq!(error.to_string(), "6 bytes are not a whole number of F32 blocks of 4 bytes");
}

#[test]
fn names_are_read_back() {
    for &isa in Isa::ALL {
        assert_eq!(isa.to_string().parse::<Isa>().expect("own name"), isa);
    }
    let error = "sse9".parse::<Isa>().expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "unknown instruction set `sse9` (known: scalar, simd128, neon, avx2, avx512)"
    );
    for &kind in KvType::ALL {
        assert_eq!(kind.to_string().parse::<KvType>().expect("own name"), kind);
    }
    let error = "q3".parse::<KvType>().expect_err("unknown");
    assert_eq!(error.to_string(), "unknown KV type `q3` (known: f32, f16, q8_0)");
}

#[test]
fn tables_are_found_by_level() {
    let tables = Kernels::available();
    assert_eq!(tables.last().map(|table| table.isa()), Some(Isa::Scalar));
    assert!(std::ptr::eq(Kernels::detect(), tables[0]));
    assert_eq!(Kernels::detect().name(), Kernels::detect().isa().name(), "a native table is picked");
    for table in tables {
        let found = Kernels::for_isa(table.isa()).expect("a level that is available");
        assert_eq!(found.isa(), table.isa());
        assert!(table.name().starts_with(table.isa().name()), "{}", table.name());
    }
    for table in tables {
        let found = Kernels::named(table.name()).expect("its own name");
        assert!(std::ptr::eq(found, *table), "{}", table.name());
    }
    let known = tables.iter().map(|table| table.name()).collect::<Vec<_>>().join(", ");
    for name in ["", "sse9", "+trueno", "scalar ", "neon+avx2"] {
        let error = Kernels::named(name).expect_err("no such table").to_string();
        assert_eq!(error, format!("this machine has no kernels `{name}` (it has: {known})"));
    }
    let missing = Isa::ALL.iter().filter(|isa| Kernels::for_isa(**isa).is_none()).count();
    assert!(missing >= 1, "no machine has the vectors of all");
}

/// On a machine with the instructions, the dispatcher picks the kernels that use them.
#[test]
fn the_fast_table_is_picked() {
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        assert_eq!(Kernels::detect().isa(), Isa::Neon);
    }
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    assert_eq!(Kernels::detect().isa(), Isa::Simd128);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
        assert_eq!(Kernels::detect().isa(), Isa::Avx512);
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        assert_eq!(Kernels::detect().isa(), Isa::Avx2);
    }
}

/// Which kernel each type of weights meets on each table: none falls to a slower one unnoticed.
#[test]
fn every_type_has_its_kernel_on_every_table() {
    kit::each_table(|kernels| {
        for dtype in DType::ALL {
            let expected = match dtype {
                _ if kit::INTEGER.contains(&dtype) => Way::Integers,
                DType::F32 => Way::Floats,
                // Trueno has f32 products and no others.
                DType::F16 if ["avx512", "avx2"].contains(&kernels.name()) => Way::Floats,
                DType::F16 | DType::BF16 => Way::Widened,
                _ => Way::Decoded,
            };
            assert_eq!(kernels.way(dtype), expected, "{dtype} on {}", kernels.name());
            assert_eq!(kernels.multiplies_integers(dtype), expected == Way::Integers, "{dtype}");
        }
    });
}

#[test]
fn a_pool_has_a_thread() {
    assert!(matches!(Pool::new(0), Err(TensorError::NoThreads)));
    for threads in [Pool::MOST_THREADS + 1, usize::MAX] {
        assert!(matches!(Pool::new(threads), Err(TensorError::TooManyThreads { .. })), "{threads} threads");
    }
}

fn shape(dtype: KvType, dim: usize) -> KvShape {
    KvShape { layers: 2, kv_heads: 3, head_dim_k: dim, head_dim_v: dim, dtype }
}

#[test]
fn stores_are_checked() {
    let empty = KvStore::new(shape(KvType::F16, 0), 1).expect_err("no dimensions");
    assert_eq!(empty.to_string(), "a KV cache of 2 layers, 3 heads of 0/0 holds nothing");
    let ragged = KvStore::new(shape(KvType::Q8_0, 40), 1).expect_err("part of a block");
    assert!(ragged.to_string().contains("multiples of 32, not 40/40"), "{ragged}");
    #[cfg(target_pointer_width = "64")]
    {
        let huge = KvStore::new(shape(KvType::F32, 64), usize::MAX).expect_err("overflow");
        assert_eq!(huge.to_string(), "cannot allocate more bytes than an address can tell for the KV cache");
        let large = KvStore::new(shape(KvType::F32, 1 << 40), 2).expect_err("too large");
        assert_eq!(large.to_string(), "cannot allocate 6755399441055744 bytes for the KV cache");
    }
    #[cfg(target_pointer_width = "64")]
    assert_eq!(KvStore::bytes_needed(&shape(KvType::F32, usize::MAX), 1), None);
    let bytes = |dtype| KvStore::bytes_needed(&shape(dtype, 32), 5).expect("fits");
    let values = 5 * 2 * 3 * 64 * 64;
    assert_eq!(bytes(KvType::F32), values * 4);
    assert_eq!(bytes(KvType::F16), values * 2);
    assert_eq!(bytes(KvType::Q8_0), values * 34 / 32);
}

#[test]
fn blocks_are_counted() {
    let mut store = KvStore::new(shape(KvType::F16, 8), 2).expect("store");
    assert_eq!((store.total_blocks(), store.free_blocks(), store.shape().kv_heads), (2, 2, 3));
    let block = store.alloc().expect("free");
    store.retain(block);
    assert_eq!(store.holders(block), 2);
    store.release(block);
    assert_eq!((store.free_blocks(), store.holders(block)), (1, 1));
    let copy = store.copy_block(block).expect("free");
    assert_ne!(copy, block);
    assert_eq!((store.alloc(), store.copy_block(block)), (None, None));
    store.release(block);
    store.release(copy);
    assert_eq!((store.free_blocks(), store.holders(block)), (2, 0));
}

fn store_with_block() -> (KvStore, BlockId) {
    let mut store = KvStore::new(shape(KvType::F16, 8), 1).expect("store");
    let block = store.alloc().expect("free");
    (store, block)
}

#[test]
#[should_panic(expected = "is free already")]
fn a_block_is_released_once() {
    let (mut store, block) = store_with_block();
    store.release(block);
    store.release(block);
}

#[test]
#[should_panic(expected = "is free")]
fn a_free_block_has_no_holders_to_add_to() {
    let (mut store, block) = store_with_block();
    store.release(block);
    store.retain(block);
}

#[test]
#[should_panic(expected = "offset 64 in a block of 64")]
fn offsets_are_inside_a_block() {
    let (mut store, block) = store_with_block();
    let x = rows_of(24, &[0.0; 24]);
    let slots = [Slot { block, offset: KV_BLOCK as u32 }];
    compute(Kernels::detect(), 1).kv_append(&mut store, 0, &x, &x, &slots);
}

#[test]
fn rows_keep_their_room() {
    let mut rows = Rows::with_capacity(3, 2);
    assert_eq!((rows.rows(), rows.width(), rows.capacity(), rows.read()), (0, 2, 3, &[][..]));
    rows.write(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!((rows.rows(), rows.row(1)), (2, &[3.0, 4.0][..]));
    rows.set_rows(3);
    assert_eq!(rows.read().len(), 6);
    rows.write(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    rows.keep_rows(&[0, 1, 2]);
    assert_eq!(rows.read(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    rows.keep_rows(&[1, 2]);
    assert_eq!(rows.read(), [3.0, 4.0, 5.0, 6.0]);
    rows.keep_rows(&[]);
    assert_eq!((rows.rows(), rows.capacity()), (0, 3));
}

#[test]
#[should_panic(expected = "row 0 of 2, ascending")]
fn kept_rows_ascend() {
    let mut rows = Rows::with_capacity(2, 1);
    rows.set_rows(2);
    rows.keep_rows(&[1, 0]);
}

#[test]
#[should_panic(expected = "4 rows in a buffer for 3")]
fn rows_do_not_grow() {
    Rows::with_capacity(3, 2).set_rows(4);
}

#[test]
#[should_panic(expected = "rows of width 0")]
fn rows_have_a_width() {
    let _ = Rows::with_capacity(3, 0);
}

#[test]
#[should_panic(expected = "overflow")]
fn rows_fit_memory() {
    let _ = Rows::with_capacity(usize::MAX, 2);
}

#[test]
#[should_panic(expected = "id 4 in a table of 4 rows")]
fn ids_are_rows() {
    let table = Random::new(1).matrix(DType::F32, 4, 8);
    compute(Kernels::detect(), 1).embed(&table, &[0, 4], 1.0, &mut empty(2, 8));
}

#[test]
fn types_are_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<QMatrix>();
    check::<Vector>();
    check::<Rows>();
    check::<KvStore>();
    check::<Pool>();
    check::<Compute>();
    check::<TensorError>();
    check::<&'static Kernels>();
}

#[cfg(feature = "trueno")]
#[test]
fn trueno_is_one_of_the_tables() {
    let table = Kernels::trueno();
    assert!(table.name().ends_with("+trueno"), "{}", table.name());
    assert!(Kernels::available().iter().any(|other| std::ptr::eq(*other, table)));
    // Rows that Trueno does not take give what ours give.
    for bad in [f32::NAN, 1e30] {
        let (x, gain) = (rows_of(4, &[bad, 1.0, 2.0, 3.0]), Vector::from_vec(vec![1.0; 4]));
        let (mut compute, mut out) = (compute(table, 1), empty(1, 4));
        compute.rms_norm(&x, &gain, 1e-5, &mut out);
        assert_eq!(out.read()[1].is_nan(), bad.is_nan());
        compute.layer_norm(&x, &gain, Some(&gain), 1e-5, &mut out);
        assert_eq!(out.read()[1].is_nan(), bad.is_nan());
    }
}
