//! The macro that makes the setters of settings types.

/// Writes for each field of a settings type a method of its name, which takes the new value and gives the settings back;
/// an optional field takes the plain value as well.
#[doc(hidden)]
#[macro_export]
macro_rules! setters {
    ($type:ident { $($field:ident: $kind:ident $(<$inner:ty>)?),+ $(,)? }) => {
        impl $type { $($crate::setters! { @one $field $kind $(<$inner>)? })+ }
    };
    (@one $field:ident Option<$inner:ty>) => {
        #[doc = concat!("These settings with another [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, value: impl Into<Option<$inner>>) -> Self {
            self.$field = value.into();
            self
        }
    };
    (@one $field:ident $kind:ident) => {
        #[doc = concat!("These settings with another [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, value: $kind) -> Self {
            self.$field = value;
            self
        }
    };
}
